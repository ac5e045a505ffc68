//! The polls of a simulation: one takes snapshots, one appends. Knows what they read, what they were
//! answered, and what must then be in the lake.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use lakehook::clock::Micros;
use lakehook::lake::keys;
use lakehook::record::{Lsn, Origin, RowKind, Rows};
use lakehook::wal::request::{Append, AppendError, Cursor, EndRun, NO_RUN, Reply, Request};

use crate::chance::Chance;
use crate::world::{LAKE, Violation, World, internal};

const STREAM: &str = "people";
const DAY: &str = "dt=2026-11-20";
/// The stream of the appending poll.
const APPENDING: &str = "orders";

/// The request that an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PollTicket {
    Begin(usize),
    Rows(usize),
    End(usize),
    Abandon,
    /// An appending poll's rows: the first record, and how many there are.
    Append(u64, u64),
    Published,
}

/// What the poller knows about the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotAsked,
    /// The end is durable, according to the answer.
    Durable,
    /// The answer was lost.
    Unknown,
    /// The run must never become visible.
    Never,
}

#[derive(Clone, Debug)]
struct Run {
    name: Option<Lsn>,
    /// Acknowledged rows.
    rows: BTreeSet<Vec<u8>>,
    /// Rows whose answer has not come yet. The poller waits for it.
    waiting: Option<Vec<Vec<u8>>>,
    end: End,
}

/// Everything that was polled so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Polls {
    runs: Vec<Run>,
    active: Option<usize>,
    /// The next record that the appending poll asks for.
    next: u64,
    under_way: bool,
    attempts: u64,
    /// When each attempt received its rows.
    pub(crate) received: HashMap<String, i64>,
}

impl Polls {
    /// What a poller does next; `None` if it waits for an answer.
    pub(crate) fn step(
        &mut self,
        chance: &mut Chance,
        now: Micros,
    ) -> Option<(Request, PollTicket)> {
        if chance.percent(30) {
            return self.append(chance, now);
        }
        let Some(active) = self.active else {
            self.runs.push(Run {
                name: None,
                rows: BTreeSet::new(),
                waiting: None,
                end: End::NotAsked,
            });
            let run = self.runs.len() - 1;
            self.active = Some(run);
            return Some((Request::BeginRun("people".into()), PollTicket::Begin(run)));
        };
        let name = self.runs[active].name?;
        if self.runs[active].waiting.is_some() {
            return None;
        }
        match chance.below(10) {
            0 => Some(self.abandon(name)),
            1..=2 => {
                self.active = None;
                self.runs[active].end = End::Unknown;
                let about = format!("{{\"run\":\"{name}\"");
                let end = EndRun {
                    run: name,
                    poll: "people".to_owned(),
                    cursor: name.to_string().into_bytes(),
                    marker: keys::marker_key(STREAM, &name.to_string()),
                    about: about.into_bytes(),
                };
                Some((Request::EndRun(Box::new(end)), PollTicket::End(active)))
            }
            _ => Some(self.rows(active, name, chance, now)),
        }
    }

    /// Abandons the run that is under way, if there is one.
    pub(crate) fn give_up(&mut self) -> Option<(Request, PollTicket)> {
        let name = self.runs[self.active?].name?;
        Some(self.abandon(name))
    }

    fn abandon(&mut self, name: Lsn) -> (Request, PollTicket) {
        if let Some(run) = self.active.take() {
            self.runs[run].end = End::Never;
        }
        (Request::AbandonRun(name), PollTicket::Abandon)
    }

    fn rows(
        &mut self,
        active: usize,
        name: Lsn,
        chance: &mut Chance,
        now: Micros,
    ) -> (Request, PollTicket) {
        let count = chance.between(1, 12);
        let mut rows = Rows::default();
        let attempt = self.attempt(now);
        let mut waiting = Vec::new();
        for index in 0..count {
            let pad = "y".repeat(usize::try_from(chance.below(400)).unwrap());
            let row = format!("{{\"from\":\"{attempt}.{index}\",\"pad\":\"{pad}\"}}").into_bytes();
            let (partition, kind) = if chance.percent(6) {
                (format!("quarantine/{STREAM}/{DAY}"), RowKind::Quarantined)
            } else {
                (format!("{STREAM}/{DAY}/run={name}"), RowKind::Snapshot)
            };
            let partition = rows.partition(&partition);
            rows.bytes.extend_from_slice(&row);
            rows.finish_row(1, partition, kind);
            waiting.push(row);
        }
        self.runs[active].waiting = Some(waiting);
        let ticket = PollTicket::Rows(active);
        let append = append(rows, now, name, None);
        (Request::Append(Box::new(append)), ticket)
    }

    fn append(&mut self, chance: &mut Chance, now: Micros) -> Option<(Request, PollTicket)> {
        if self.under_way {
            return None;
        }
        self.under_way = true;
        let (from, count) = (self.next, chance.between(1, 15));
        let attempt = self.attempt(now);
        let mut rows = Rows::default();
        for record in from..from + count {
            let row = format!("{{\"from\":\"{attempt}.{record}\",\"record\":{record}}}");
            let partition = rows.partition(&format!("{APPENDING}/{DAY}"));
            rows.bytes.extend_from_slice(row.as_bytes());
            // The row has no identity, so only the cursor prevents a repetition.
            rows.finish_row(1, partition, RowKind::Snapshot);
        }
        let cursor = Cursor {
            poll: APPENDING.into(),
            bytes: (from + count).to_string().into_bytes(),
        };
        let append = append(rows, now, NO_RUN, Some(cursor));
        Some((
            Request::Append(Box::new(append)),
            PollTicket::Append(from, count),
        ))
    }

    fn attempt(&mut self, now: Micros) -> String {
        self.attempts += 1;
        let attempt = format!("poll{}", self.attempts);
        self.received.insert(attempt.clone(), now.0);
        attempt
    }

    pub(crate) fn answer(&mut self, ticket: PollTicket, reply: Reply) {
        match (ticket, reply) {
            (PollTicket::Begin(run), Ok(appended)) => self.runs[run].name = Some(appended.run),
            (PollTicket::Begin(_), Err(_)) => self.active = None,
            (PollTicket::Rows(run), Ok(_)) => {
                let run = &mut self.runs[run];
                run.rows.extend(run.waiting.take().unwrap_or_default());
            }
            (PollTicket::Rows(run), Err(_)) => {
                self.runs[run].end = End::Never;
                self.active = None;
            }
            (PollTicket::End(run), Ok(_)) => self.runs[run].end = End::Durable,
            (PollTicket::End(run), Err(AppendError::Storage(_))) => {
                self.runs[run].end = End::Unknown;
            }
            (PollTicket::End(run), Err(_)) => self.runs[run].end = End::Never,
            (PollTicket::Append(from, count), reply) => {
                self.under_way = false;
                if reply.is_ok() {
                    self.next = from + count;
                }
            }
            (PollTicket::Abandon | PollTicket::Published, _) => {}
        }
    }

    /// The process has ended, and with it what was under way.
    pub(crate) fn crashed(&mut self) {
        self.under_way = false;
        if let Some(active) = self.active.take() {
            self.runs[active].end = End::Never;
        }
    }

    /// The process is running again, and the poll continues from the cursor in the log.
    pub(crate) fn resume(&mut self, cursor: Option<&[u8]>) {
        let cursor = cursor.map(|bytes| String::from_utf8_lossy(bytes).parse().unwrap());
        self.next = cursor.unwrap_or(0);
    }
}

fn append(rows: Rows, now: Micros, run: Lsn, cursor: Option<Cursor>) -> Append {
    Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: now,
            endpoint: "people".into(),
            request_id: "poll".into(),
            client: None,
        },
        run,
        cursor,
    }
}

/// Keys and texts of the markers in the lake.
fn markers(world: &World) -> BTreeMap<String, Vec<u8>> {
    if world.shape.directory {
        let runs = internal().join("runs");
        let tree = world.disk.tree(Path::new(LAKE)).into_iter();
        return tree
            .filter(|(path, _)| path.starts_with(&runs))
            .map(|(path, text)| (path.display().to_string(), text))
            .collect();
    }
    let objects = world.store.objects().into_iter();
    let markers = objects.filter(|(key, _)| key.starts_with("_lakehook/runs/"));
    markers.map(|(key, object)| (key, object.bytes)).collect()
}

/// The runs that readers see, with their objects and the counts of rows.
fn visible(world: &World) -> Result<BTreeMap<String, Vec<(String, u64)>>, Violation> {
    let mut visible = BTreeMap::new();
    for (key, text) in markers(world) {
        // Nobody can read it yet: it is not proven, and is put again.
        if world.store.is_damaged(&key) {
            continue;
        }
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| format!("marker {key}: {error}"))?;
        let objects = value["objects"]
            .as_array()
            .ok_or("a marker without objects")?;
        let objects = objects
            .iter()
            .map(|object| {
                let key = object["key"].as_str().unwrap().to_owned();
                (key, object["records"].as_u64().unwrap())
            })
            .collect();
        visible.insert(value["run"].as_str().unwrap().to_owned(), objects);
    }
    Ok(visible)
}

/// Checks that a visible run is complete, which must be so at every moment.
pub(crate) fn check_visible(world: &World) -> Result<(), Violation> {
    let visible = visible(world)?;
    if visible.is_empty() {
        return Ok(());
    }
    let there: BTreeSet<String> = if world.shape.directory {
        let paths = world.disk.paths(Path::new(LAKE)).into_iter();
        paths
            .filter_map(|path| Some(path.strip_prefix(LAKE).ok()?.display().to_string()))
            .collect()
    } else {
        world.store.objects().into_keys().collect()
    };
    for (run, objects) in visible {
        if let Some((key, _)) = objects.iter().find(|(key, _)| !there.contains(key)) {
            return Err(format!("run {run} is visible without {key}"));
        }
    }
    Ok(())
}

/// One row of a poll in the lake.
pub(crate) struct PollRow<'a> {
    pub(crate) key: &'a str,
    pub(crate) row: &'a [u8],
}

/// Checks at the end that each run is there whole or not at all, as its poller was answered, and that every
/// record of the appending poll up to its cursor is there once.
pub(crate) fn check(world: &World, rows: &[PollRow<'_>]) -> Result<(), Violation> {
    let visible = visible(world)?;
    let mut explained = 0;
    for run in &world.polls.runs {
        let Some(name) = run.name.map(|name| name.to_string()) else {
            continue;
        };
        let objects = visible.get(&name);
        let must = match run.end {
            End::Durable => true,
            End::Unknown => objects.is_some(),
            End::NotAsked | End::Never => false,
        };
        if must != objects.is_some() {
            return Err(format!(
                "run {name} is {:?}, and visible: {objects:?}",
                run.end
            ));
        }
        let Some(objects) = objects else { continue };
        let mut seen = BTreeSet::new();
        for (key, records) in objects {
            let of_object: Vec<_> = rows.iter().filter(|row| row.key == key).collect();
            if of_object.len() as u64 != *records {
                return Err(format!("{key} has not the {records} rows of its marker"));
            }
            seen.extend(of_object.into_iter().map(|row| row.row.to_vec()));
        }
        if seen != run.rows {
            let (seen, told) = (seen.len(), run.rows.len());
            return Err(format!(
                "run {name} has {seen} rows, and {told} were acknowledged"
            ));
        }
        explained += seen.len();
    }
    let appended = rows.iter().filter(|row| row.key.starts_with(APPENDING));
    let records: Vec<u64> = appended
        .map(|row| {
            let value: serde_json::Value = serde_json::from_slice(row.row).unwrap();
            value["record"].as_u64().unwrap()
        })
        .collect();
    let unique: BTreeSet<u64> = records.iter().copied().collect();
    let cursor = world.node.as_ref().and_then(|node| {
        let cursor = node.writer.state().runs.cursor(APPENDING)?;
        String::from_utf8_lossy(cursor).parse::<u64>().ok()
    });
    let expected: BTreeSet<u64> = (0..cursor.unwrap_or(0)).collect();
    if unique.len() != records.len() || unique != expected || cursor.unwrap_or(0) < world.polls.next
    {
        return Err(format!(
            "{} records appended, {} different ones, the cursor is at {cursor:?}, told {}",
            records.len(),
            unique.len(),
            world.polls.next
        ));
    }
    explained += records.len();
    if explained != rows.len() {
        return Err(format!(
            "{} rows of polls, {explained} explained",
            rows.len()
        ));
    }
    Ok(())
}
