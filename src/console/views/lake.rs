//! What the lake holds: objects by stream and day, the newest of them, and whether everything adds up.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use maud::{Markup, html};

use crate::audit::whole::{Whole, audit};
use crate::clock::Micros;
use crate::console::asked::link;
use crate::console::jobs::JobState;
use crate::console::layout::{Page, View, Visit, notice};
use crate::console::readings::Looked;
use crate::console::state::Console;
use crate::console::{reply, shown};
use crate::contract::EVENTS;
use crate::lake::calendar::{DayCount, DayPrefix, ListedObject, StreamDays, newest_objects};
use crate::lake::keys::day_partition;

/// So many days are shown: five weeks.
const DAYS: u32 = 35;
const DAY: Duration = Duration::from_secs(86_400);
/// The lake is listed again after this time.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Objects that are smaller on average cost more to open than to read, …
const SMALL_BYTES: u64 = 1 << 20;
/// … if there are more than so many of them.
const MANY_OBJECTS: u64 = 200;
/// Problems of an audit beyond these are counted.
const MAX_PROBLEMS: usize = 50;
/// An event is looked for in so many of the newest objects.
const MAX_OBJECTS: usize = 1000;

/// The page.
pub(in crate::console) async fn page(console: &Arc<Console>, visit: &Visit) -> Page<'static> {
    let looked = look(console).await;
    let state = console.jobs.audit.state();
    let is_audited = matches!(state, JobState::UnderWay { .. });
    let content = html! {
        h1 { "Lake" }
        p .lead { code { (console.settings.lake) } ", the last five weeks" }
        @if let Some(error) = looked.error() {
            (notice("bad", &html! { strong { "The lake cannot be listed: " } (error) }))
        }
        @match looked.value() {
            None if looked.is_under_way => p { "The lake is being listed …" },
            None => {},
            Some(streams) => {
                @for stream in streams.iter().filter(|stream| stream.objects() > 0) { (card(stream)) }
                @if streams.iter().all(|stream| stream.objects() == 0) {
                    section .card .empty {
                        p { strong { "Nothing is in the lake yet." } }
                        p .faint { "A batch gets there " (shown::duration(console.settings.batch_age)) " after its first row, or when it is full." }
                    }
                }
                (newest(streams))
            },
        }
        (audited(&state, visit))
    };
    Page {
        is_unfinished: looked.is_under_way && looked.value().is_none() || is_audited,
        ..Page::of(View::Lake, content)
    }
}

/// Lists the lake.
async fn look(console: &Arc<Console>) -> Looked<Vec<StreamDays>> {
    let own = Arc::clone(console);
    let read = async move |_| {
        let place = own.lake().await;
        let mut all = Vec::new();
        for (stream, days) in streams(&own) {
            let listed = StreamDays::read(place, &stream, &days).await;
            all.push(listed.map_err(|error| error.to_string())?);
        }
        Ok(all)
    };
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .calendar
        .look(&console.beside, (), ages, read)
        .await
}

/// The streams of the lake with the prefixes of their days, the newest first.
fn streams(console: &Console) -> Vec<(String, Vec<DayPrefix>)> {
    let now = console.app.clock.wall();
    let of = |stream: &str| {
        let days = (0..DAYS).map(|days| {
            let at = now.minus(DAY * days);
            let day = at.to_string().chars().take(10).collect();
            let prefix = if stream == EVENTS {
                events_of(console, at)
            } else {
                day_partition(stream, at)
            };
            DayPrefix { day, prefix }
        });
        (stream.to_owned(), days.collect())
    };
    let own = console.settings.streams.iter();
    own.flat_map(|stream| [of(&format!("quarantine/{stream}")), of(stream)])
        .collect()
}

/// The newest objects of events and of what was refused, by day; of a day, what was refused comes first, since that is
/// less.
pub(in crate::console) async fn all_objects(
    console: &Console,
) -> Result<Vec<ListedObject>, String> {
    let place = console.lake().await;
    let mut all = Vec::new();
    let streams = streams(console);
    let wanted = ["quarantine/events", EVENTS];
    for day in 0..DAYS as usize {
        for (_, days) in streams
            .iter()
            .filter(|(stream, _)| wanted.contains(&stream.as_str()))
        {
            let of_day = newest_objects(place, &days[day..=day], MAX_OBJECTS).await;
            all.extend(of_day.map_err(|error| error.to_string())?);
        }
        if all.len() > MAX_OBJECTS {
            break;
        }
    }
    Ok(all)
}

/// The prefix of the events of a day, whatever smaller parts it has.
fn events_of(console: &Console, at: Micros) -> String {
    let Some(core) = console.app.core.get() else {
        return day_partition(EVENTS, at);
    };
    let midnight = Micros(at.0 - at.0.rem_euclid(DAY.as_micros() as i64));
    let partition = &core.contract.rules().partition;
    let (first, last) = (
        partition.key(midnight),
        partition.key(midnight.plus(DAY).minus(Duration::from_micros(1))),
    );
    let same = first.split('/').zip(last.split('/'));
    let same = same.take_while(|(first, last)| first == last);
    same.map(|(part, _)| part).collect::<Vec<_>>().join("/")
}

fn card(stream: &StreamDays) -> Markup {
    let (objects, bytes) = (stream.objects(), stream.bytes());
    let average = bytes / objects.max(1);
    let is_small = objects > MANY_OBJECTS && average < SMALL_BYTES;
    html! {
        section .card .source {
            div .head {
                h2 { (stream.stream) }
                span .faint { (shown::counted(objects, "object", "objects")) ", " (shown::bytes(bytes)) ", " (shown::bytes(average)) " on average" }
            }
            (calendar(stream))
            @if stream.is_cut { p .beneath { "Older days are left out: there are too many objects." } }
            @if is_small {
                p .warn-text {
                    "Many small objects: engines take longer to open them than to read them. A larger "
                    code { "batch.max_age" } " makes fewer."
                }
            }
        }
    }
}

/// A square for each day, the newest last, in weeks.
fn calendar(stream: &StreamDays) -> Markup {
    let most = stream.days.iter().map(|day| day.bytes).max().unwrap_or(0);
    html! {
        ol .calendar {
            @for day in stream.days.iter().rev() {
                @let text = format!("{}: {}, {}", day.day, shown::counted(day.objects, "object", "objects"), shown::bytes(day.bytes));
                li .(shade(day, most)) title=(text) { span .visually-hidden { (text) } }
            }
        }
    }
}

/// How dark the square of a day is.
fn shade(day: &DayCount, most: u64) -> &'static str {
    const SHADES: [&str; 4] = ["s1", "s2", "s3", "s4"];
    if day.objects == 0 {
        return "s0";
    }
    let part = day.bytes * (SHADES.len() as u64 - 1) / most.max(1);
    SHADES[usize::try_from(part).unwrap_or(0).min(SHADES.len() - 1)]
}

/// The newest objects of all streams.
fn newest(streams: &[StreamDays]) -> Markup {
    let all: Vec<&ListedObject> = streams
        .iter()
        .flat_map(|stream| stream.newest.iter().take(6))
        .collect();
    html! {
        @if !all.is_empty() {
            section .card {
                h2 { "Newest objects" }
                div .scroll {
                    table {
                        thead { tr { th scope="col" { "Key" } th scope="col" .number { "Bytes" } } }
                        tbody {
                            @for object in all {
                                tr {
                                    td { a href=(link("/lake/object", &[("key", &object.key)])) { code { (object.key) } } }
                                    td .number { (shown::bytes(object.bytes)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The last audit, and how to ask for one.
fn audited(state: &JobState<Whole>, visit: &Visit) -> Markup {
    html! {
        section .card {
            h2 { "Audit" }
            p .faint {
                "Proves from the metadata of all objects that every row which this and other nodes acknowledged is there, once. It asks for each object, which a bucket charges for."
            }
            @match state {
                JobState::Idle => {},
                JobState::UnderWay { done, total } => {
                    p { (shown::count(*done as u64)) " of " (shown::counted(*total as u64, "object", "objects")) " looked at" }
                    @if *total > 0 { progress max=(total) value=(done) aria-label="Objects looked at" {} }
                },
                JobState::Ended { at, result } => (result_of(*at, result)),
            }
            @if !matches!(state, JobState::UnderWay { .. }) {
                form .actions method="post" action="/lake/audit" {
                    (visit.field())
                    button .quiet type="submit" { "Audit now" }
                }
            }
        }
    }
}

fn result_of(at: Micros, result: &Result<Whole, String>) -> Markup {
    let whole = match result {
        Ok(whole) => whole,
        Err(error) => return notice("bad", &html! { strong { "The audit failed: " } (error) }),
    };
    html! {
        @if whole.problems.is_empty() {
            (notice("good", &html! {
                strong { "All " (shown::counted(whole.objects as u64, "object adds", "objects add")) " up" } ", as of " (shown::time(at)) "."
            }))
        } @else {
            (notice("bad", &html! {
                strong { (shown::counted(whole.problems.len() as u64, "problem", "problems")) } ": it does not add up, as of " (shown::time(at)) "."
            }))
        }
        table .plain {
            tbody {
                @for node in &whole.nodes {
                    tr {
                        th scope="row" { "node " code { (node.node) } }
                        td { (shown::counted(node.rows, "row", "rows")) " in " (shown::counted(node.objects, "object", "objects")) ", proved up to LSN " (node.up_to_lsn) }
                    }
                }
                @for problem in whole.problems.iter().take(MAX_PROBLEMS) {
                    tr {
                        th scope="row" { code { (problem.key.as_deref().or(problem.node.as_deref()).unwrap_or("lake")) } }
                        td .bad-text { (problem.what) }
                    }
                }
            }
        }
    }
}

/// Begins an audit, unless one is under way.
pub(in crate::console) fn begin_audit(console: &Arc<Console>) -> Response {
    if console.jobs.audit.begin() {
        let (own, runtime) = (Arc::clone(console), tokio::runtime::Handle::current());
        // Directories are read in between, which takes time.
        console.beside.tasks.spawn_blocking(move || {
            let audited = runtime.block_on(async {
                let place = own.lake().await;
                let mut step = |_, done, total| own.jobs.audit.step(done, total);
                tokio::select! {
                    whole = audit(place, &[], false, None, &mut step) => whole.map_err(|error| error.to_string()),
                    () = own.beside.closing.cancelled() => Err("the service is stopping".to_owned()),
                }
            });
            own.jobs.audit.end(own.app.clock.wall(), audited);
        });
    }
    reply::go_to("/lake")
}
