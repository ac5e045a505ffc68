//! The node itself: its log, its process, its certificate, and every setting with where it comes from.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::cluster;
use crate::clock::Micros;
use crate::console::layout::{Page, View, notice};
use crate::console::readings::Looked;
use crate::console::settings::ShownSetting;
use crate::console::shown;
use crate::console::standing::is_elsewhere;
use crate::console::state::{Console, LogFiles, total};
use crate::files::{Disk, Files as _};

/// The log's directory is listed again after this time.
const MAX_AGE: Duration = Duration::from_secs(2);

/// The page.
pub(in crate::console) async fn page(console: &Arc<Console>) -> Page<'static> {
    let looked = log_files(console).await;
    let content = html! {
        h1 { "Node" }
        (cluster::card(console))
        (process(console))
        (log(console, &looked))
        (settings(&console.settings.effective))
    };
    Page::of(View::Node, content)
}

fn process(console: &Console) -> Markup {
    let reading = console.app.metrics.read();
    let now = console.app.clock.wall();
    let started = reading.of_metric("process_start_time_seconds");
    let started = Micros(0).plus(Duration::try_from_secs_f64(started).unwrap_or_default());
    let cpu = Duration::try_from_secs_f64(reading.of_metric("process_cpu_seconds_total"));
    let end = console.app.tls.get().and_then(|tls| tls.end());
    html! {
        section .card {
            h2 { "Process" }
            dl .facts {
                div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
                div { dt { "Running for" } dd { (shown::duration(now.since(started))) } }
                div { dt { "Memory" } dd { (shown::bytes(total(&reading, "process_resident_memory_bytes"))) } }
                div { dt { "Processor time" } dd { (shown::duration(cpu.unwrap_or_default())) } }
                div { dt { "Threads" } dd { (total(&reading, "process_threads")) } }
                div {
                    dt { "Open files" }
                    dd { (total(&reading, "process_open_fds")) " of " (shown::count(total(&reading, "process_max_fds"))) }
                }
                div {
                    dt { "Connections" }
                    dd { (total(&reading, "lakehook_http_connections")) " of " (shown::count(total(&reading, "lakehook_http_max_connections"))) }
                }
                div {
                    dt { "Certificate" }
                    dd {
                        @match end {
                            Some(end) if end > now => { "ends in " (shown::duration(end.since(now))) },
                            Some(_) => span .bad-text { "has ended" },
                            None => "none",
                        }
                    }
                }
            }
        }
    }
}

/// Lists the directory of the log.
async fn log_files(console: &Arc<Console>) -> Looked<LogFiles> {
    let dir = console.settings.log_dir.clone();
    let read = async move |_| {
        let listed = tokio::task::spawn_blocking(move || Disk.list(&dir));
        let listed = listed.await.map_err(|error| error.to_string())?;
        let mut files = LogFiles::new();
        for entry in listed.map_err(|error| error.to_string())? {
            let (number, bytes) = files.entry(kind_of(&entry.name)).or_default();
            *number += 1;
            *bytes += entry.bytes;
        }
        Ok(files)
    };
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .log_files
        .look(&console.beside, (), ages, read)
        .await
}

/// What a file in the directory of a log is, by its name.
fn kind_of(name: &str) -> &'static str {
    let has = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end);
    if has("", ".wal") {
        "Segments"
    } else if has("spare-", ".tmp") {
        "Spare segments"
    } else if has("", ".ids") {
        "Files of ids"
    } else if has("torn-", ".bin") {
        "Copies of torn tails"
    } else {
        "Others"
    }
}

fn log(console: &Console, looked: &Looked<LogFiles>) -> Markup {
    html! {
        section .card {
            h2 { "Write-ahead log" }
            p .faint { code { (console.settings.log_dir.display()) } }
            @if is_elsewhere(console) {
                p .faint { "These files are left of a former epoch, if there are any; the log itself is in the replica." }
            }
            @if let Some(error) = looked.error() {
                (notice("bad", &html! { "It cannot be listed: " (error) }))
            }
            @if let Some(files) = looked.value() {
                table .plain {
                    thead { tr { th scope="col" { "Files" } th scope="col" .number { "Number" } th scope="col" .number { "Bytes" } } }
                    tbody {
                        @for (kind, (number, bytes)) in files {
                            tr {
                                th scope="row" { (kind) }
                                td .number { (shown::count(*number)) }
                                td .number { (shown::bytes(*bytes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn settings(settings: &[ShownSetting]) -> Markup {
    let mut sections: Vec<(&str, Vec<&ShownSetting>)> = Vec::new();
    for setting in settings {
        match sections.last_mut() {
            Some((section, own)) if *section == setting.section => own.push(setting),
            _ => sections.push((&setting.section, vec![setting])),
        }
    }
    html! {
        section .card {
            h2 { "Settings in force" }
            p .faint { "Secrets are masked. What is set is marked; the rest are defaults." }
            @for (section, settings) in sections {
                details open[settings.iter().any(|setting| setting.origin.is_some())] {
                    summary { code { "[" (section) "]" } }
                    div .scroll {
                        table .settings {
                            tbody {
                                @for setting in settings {
                                    tr .set[setting.origin.is_some()] {
                                        th scope="row" { code { (setting.key) } }
                                        td { code { (setting.value) } }
                                        td .faint { (setting.origin.as_deref().unwrap_or("default")) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_are_known_by_their_names() {
        for (name, kind) in [
            ("00000000000000000007.wal", "Segments"),
            (
                "00000000000000000003-00000000000000000007.ids",
                "Files of ids",
            ),
            ("spare-2.tmp", "Spare segments"),
            ("torn-7-4096.bin", "Copies of torn tails"),
            ("node", "Others"),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
