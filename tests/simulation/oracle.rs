//! What must hold in the end, whatever happened: compares the lake with what the senders were answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

use lakehook::encode::{Format, Layout, ndjson::decoder};
use lakehook::lake::Metadata;
use lakehook::record::{Lsn, RowKind, row_hash};

use crate::polls::PollRow;
use crate::senders::{Outcome, QUARANTINE, Sent, conflict_row};
use crate::world::{LAKE, Violation, World, internal};

/// An object as a reader sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    key: String,
    metadata: Metadata,
    pub(crate) rows: Vec<(u64, Vec<u8>)>,
}

impl Seen {
    fn number(&self, name: &str) -> u64 {
        self.metadata[name].parse().unwrap()
    }

    fn hash(&self, name: &str) -> u128 {
        u128::from_str_radix(&self.metadata[name], 16).unwrap()
    }

    fn set(&self, name: &str) -> (u64, u128) {
        let (count, hash) = self.metadata[name].split_once(' ').unwrap();
        (
            count.parse().unwrap(),
            u128::from_str_radix(hash, 16).unwrap(),
        )
    }
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

/// Checks everything. The log must be drained.
pub(crate) fn check(world: &World) -> Result<(), Violation> {
    let objects = objects(world)?;
    check_lsns(&objects)?;
    check_audit(world, &objects)?;
    check_watermarks(world, &objects)?;
    check_senders(world, &objects)?;
    check_totals(world, &objects)
}

/// Checks only that everything acknowledged is there exactly once.
pub(crate) fn check_acknowledged(world: &World) -> Result<(), Violation> {
    let objects = objects(world)?;
    check_lsns(&objects)?;
    check_senders(world, &objects)
}

/// The objects of the lake, decoded, by seal number.
pub(crate) fn objects(world: &World) -> Result<Vec<Seen>, Violation> {
    let mut seen = Vec::new();
    for (key, bytes, metadata) in raw_objects(world)? {
        let rows = decode(&key, &bytes)?;
        seen.push(Seen {
            key,
            metadata,
            rows,
        });
    }
    seen.sort_by_key(|object| object.number("lakehook-seal"));
    Ok(seen)
}

/// All rows of the lake by LSN. An LSN that is there twice is a violation.
pub(crate) fn rows(world: &World) -> Result<BTreeMap<u64, Vec<u8>>, Violation> {
    let mut all = BTreeMap::new();
    for (lsn, row) in objects(world)?.into_iter().flat_map(|object| object.rows) {
        ensure!(all.insert(lsn, row).is_none(), "LSN {lsn} is there twice");
    }
    Ok(all)
}

/// The keys of all objects, and their lengths.
pub(crate) fn lengths(world: &World) -> Result<Vec<(String, usize)>, Violation> {
    let objects = raw_objects(world)?.into_iter();
    Ok(objects.map(|(key, bytes, _)| (key, bytes.len())).collect())
}

fn raw_objects(world: &World) -> Result<Vec<(String, Vec<u8>, Metadata)>, Violation> {
    if !world.shape.directory {
        let objects = world.store.objects().into_iter();
        let data = objects.filter(|(key, _)| !key.starts_with("_lakehook/"));
        return Ok(data
            .map(|(key, object)| (key, object.bytes, object.metadata))
            .collect());
    }
    let mut raw = Vec::new();
    let tree = world.disk.tree(Path::new(LAKE));
    for (path, bytes) in tree
        .iter()
        .filter(|(path, _)| !path.starts_with(internal()))
    {
        let key = path.strip_prefix(LAKE).unwrap().display().to_string();
        let sidecar = internal().join("meta").join(format!("{key}.json"));
        let text = tree.get(&sidecar);
        let text = text.ok_or_else(|| format!("{key} is visible and has no sidecar"))?;
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| format!("sidecar of {key}: {error}"))?;
        ensure!(
            value["bytes"] == bytes.len(),
            "{key} has another length than its sidecar says"
        );
        let metadata = serde_json::from_value(value["metadata"].clone()).unwrap();
        raw.push((key, bytes.clone(), metadata));
    }
    Ok(raw)
}

fn decode(key: &str, bytes: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, Violation> {
    let format = key
        .split_once('.')
        .and_then(|(_, suffix)| Format::parse(suffix));
    let format = format.ok_or_else(|| format!("{key} has an unknown format"))?;
    let mut text = Vec::new();
    let Layout::Lines(codec) = format.layout() else {
        return Err(format!("{key} has no lines"));
    };
    decoder(codec, bytes)
        .and_then(|mut reader| reader.read_to_end(&mut text))
        .map_err(|error| format!("{key} cannot be decoded: {error}"))?;
    ensure!(text.last() == Some(&b'\n'), "{key} has no line end");
    text.pop();
    text.split(|byte| *byte == b'\n')
        .map(|line| split_lsn(key, line))
        .collect()
}

/// Removes the `lsn` from a line.
fn split_lsn(key: &str, line: &[u8]) -> Result<(u64, Vec<u8>), Violation> {
    let inner = line.strip_prefix(b"{\"lsn\":");
    let digits = inner.map_or(0, |inner| {
        inner.iter().take_while(|b| b.is_ascii_digit()).count()
    });
    ensure!(digits > 0, "{key} has a line without lsn");
    let lsn = String::from_utf8_lossy(&line[7..7 + digits])
        .parse()
        .unwrap();
    let mut row = b"{".to_vec();
    row.extend_from_slice(&line[8 + digits..]);
    Ok((lsn, row))
}

fn check_lsns(objects: &[Seen]) -> Result<(), Violation> {
    let mut all = BTreeSet::new();
    for object in objects {
        let key = &object.key;
        let lsns: Vec<u64> = object.rows.iter().map(|(lsn, _)| *lsn).collect();
        ensure!(lsns.is_sorted(), "{key} is not sorted by LSN");
        ensure!(
            lsns.first() == Some(&object.number("lakehook-first-lsn"))
                && lsns.last() == Some(&object.number("lakehook-last-lsn")),
            "{key} has other LSNs than it says"
        );
        let count = object.number("lakehook-count");
        ensure!(
            count == lsns.len() as u64,
            "{key} has another count than it says"
        );
        let hash = lsns
            .iter()
            .fold(0_u128, |sum, lsn| sum.wrapping_add(Lsn(*lsn).hash()));
        ensure!(
            hash == object.hash("lakehook-lsn-hash"),
            "{key}: wrong LSN hash"
        );
        let rows = object.rows.iter();
        let hash = rows.fold(0_u128, |sum, (_, row)| sum.wrapping_add(row_hash(row)));
        ensure!(
            hash == object.hash("lakehook-row-hash"),
            "{key}: wrong row hash"
        );
        for lsn in lsns {
            ensure!(
                all.insert(lsn),
                "LSN {lsn} is in the lake twice, again in {key}"
            );
        }
    }
    Ok(())
}

/// Checks the equations of the audit, from metadata alone.
fn check_audit(world: &World, objects: &[Seen]) -> Result<(), Violation> {
    let (mut count, mut hash) = (0, 0_u128);
    let mut last_lsns: HashMap<&str, u64> = HashMap::new();
    for (index, object) in objects.iter().enumerate() {
        let seal = object.number("lakehook-seal");
        ensure!(
            seal == index as u64 + 1,
            "seal {seal} where {} was expected",
            index + 1
        );
        count += object.number("lakehook-count");
        hash = hash.wrapping_add(object.hash("lakehook-lsn-hash"));
        let open = object.set("lakehook-as-of-open");
        let void = object.set("lakehook-as-of-void");
        let as_of = object.number("lakehook-as-of-lsn");
        ensure!(
            count + open.0 + void.0 == as_of,
            "audit of seal {seal}: the counts differ"
        );
        let total = hash.wrapping_add(open.1).wrapping_add(void.1);
        let expected = (1..=as_of).fold(0_u128, |sum, lsn| sum.wrapping_add(Lsn(lsn).hash()));
        ensure!(
            total == expected && expected == object.hash("lakehook-as-of-lsn-hash"),
            "audit of seal {seal}: the LSN hashes differ"
        );
        let total = |name: &str| object.number(&format!("lakehook-total-{name}"));
        let classes =
            total("stored") + total("dropped") + total("duplicate") + total("quarantined");
        ensure!(
            total("received") == classes,
            "audit of seal {seal}: the classes don't add up"
        );
        let partition = object.metadata["lakehook-partition"].as_str();
        let last = last_lsns.insert(partition, object.number("lakehook-last-lsn"));
        ensure!(
            last.unwrap_or(0) < object.number("lakehook-first-lsn"),
            "audit of seal {seal}: its range overlaps"
        );
    }
    let last = world
        .node
        .as_ref()
        .map_or(0, |node| node.writer.state().last_seal);
    ensure!(
        objects.len() as u64 == last,
        "{} objects of {last} seals",
        objects.len()
    );
    let unknown = world.committed.keys().find(|seal| **seal > last);
    ensure!(
        unknown.is_none(),
        "seal {unknown:?} was committed and is not in the lake"
    );
    Ok(())
}

/// Checks that everything received before a seal's watermark is in this seal or an earlier one.
fn check_watermarks(world: &World, objects: &[Seen]) -> Result<(), Violation> {
    let received: HashMap<&str, i64> = {
        let sent = world.senders.sent.iter();
        let sent = sent.map(|sent| (sent.name.as_str(), sent.received_at.0));
        let polled = world.polls.received.iter();
        sent.chain(polled.map(|(name, at)| (name.as_str(), *at)))
            .collect()
    };
    let mut watermark = (i64::MIN, 0);
    for object in objects {
        let seal = object.number("lakehook-seal");
        for (lsn, row) in &object.rows {
            let at = request_of(row).and_then(|name| received.get(name));
            let at = *at.ok_or_else(|| format!("a row of nobody in {}", object.key))?;
            ensure!(
                at >= watermark.0,
                "LSN {lsn} in seal {seal} is older than the watermark of seal {}",
                watermark.1
            );
        }
        let text = &object.metadata["lakehook-as-of-watermark"];
        let time = chrono::DateTime::parse_from_rfc3339(text);
        watermark = watermark.max((time.map_or(i64::MIN, |time| time.timestamp_micros()), seal));
    }
    Ok(())
}

/// The request that a row came from.
fn request_of(row: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(row).ok()?;
    let rest = text
        .strip_prefix("{\"from\":\"")
        .or_else(|| text.strip_prefix("{\"conflict\":\""))?;
    rest.split(['.', '"']).next()
}

/// The partitions in which each row is, one for each time that it is there.
type Where<'a> = BTreeMap<&'a [u8], Vec<&'a str>>;

/// Compares every request with the lake: acknowledged requests are there exactly once, refused ones not at
/// all, and others whole or not at all.
fn check_senders(world: &World, objects: &[Seen]) -> Result<(), Violation> {
    let mut lake: Where<'_> = BTreeMap::new();
    for object in objects {
        let partition = object.metadata["lakehook-partition"].as_str();
        ensure!(
            object.key.starts_with(partition),
            "{} is in the wrong place",
            object.key
        );
        for (_, row) in &object.rows {
            lake.entry(row).or_default().push(partition);
        }
    }
    let mut stored: HashMap<u64, (u32, &str)> = HashMap::new();
    for sent in &world.senders.sent {
        for row in &sent.rows {
            let RowKind::Record(identity) = row.kind else {
                continue;
            };
            if lake.contains_key(row.bytes.as_slice()) {
                let before = stored.insert(identity.tag, (identity.content, &sent.name));
                ensure!(before.is_none(), "an id of {} is stored twice", sent.name);
            }
        }
    }
    let mut explained = 0;
    for sent in &world.senders.sent {
        explained += check_request(sent, &lake, &stored)?;
    }
    let polled = polled(objects);
    crate::polls::check(world, &polled)?;
    explained += polled.len();
    let rows: usize = objects.iter().map(|object| object.rows.len()).sum();
    ensure!(
        explained == rows,
        "{rows} rows in the lake, {explained} were sent"
    );
    Ok(())
}

/// The rows that came from polls.
fn polled(objects: &[Seen]) -> Vec<PollRow<'_>> {
    let rows = objects.iter().flat_map(|object| {
        let key = object.key.as_str();
        object.rows.iter().map(move |(_, row)| PollRow { key, row })
    });
    rows.filter(|row| row.row.starts_with(b"{\"from\":\"poll"))
        .collect()
}

/// What the lake has of the rows of one request.
#[derive(Debug, Default)]
struct Fate {
    /// How many of its records are in the lake; the next two count quarantined rows and conflicts.
    stored: u64,
    quarantined: u64,
    conflicts: u64,
    duplicates: u64,
    refused: u64,
    missing: u64,
}

fn check_request(
    sent: &Sent,
    lake: &Where<'_>,
    stored: &HashMap<u64, (u32, &str)>,
) -> Result<usize, Violation> {
    let name = &sent.name;
    let mut fate = Fate::default();
    for row in &sent.rows {
        let places = lake
            .get(row.bytes.as_slice())
            .map_or(&[][..], Vec::as_slice);
        ensure!(
            places.len() <= 1,
            "a row of {name} is in the lake {} times",
            places.len()
        );
        let is_there = !places.is_empty();
        let right = places
            .first()
            .is_none_or(|partition| *partition == row.partition);
        ensure!(right, "a row of {name} is in {places:?}");
        match row.kind {
            RowKind::Quarantined if is_there => fate.quarantined += 1,
            RowKind::Refused if is_there => fate.refused += 1,
            RowKind::Record(_) if is_there => fate.stored += 1,
            RowKind::Record(identity) => {
                let conflicts = conflicts_of(sent, &row.bytes, lake)?;
                match stored.get(&identity.tag) {
                    Some((content, _)) if *content == identity.content && conflicts == 0 => {
                        fate.duplicates += 1;
                    }
                    Some((content, _)) if *content != identity.content && conflicts == 1 => {
                        fate.conflicts += 1;
                    }
                    _ if conflicts == 0 => fate.missing += 1,
                    _ => return Err(format!("{conflicts} conflicts for a row of {name}")),
                }
            }
            _ => fate.missing += 1,
        }
    }
    judge(sent, &fate)?;
    let rows = fate.stored + fate.quarantined + fate.conflicts + fate.refused;
    Ok(usize::try_from(rows).unwrap())
}

/// How often a row is in the quarantine as a conflict of this request.
fn conflicts_of(sent: &Sent, row: &[u8], lake: &Where<'_>) -> Result<usize, Violation> {
    let mut expected = Vec::new();
    conflict_row(&sent.append().origin, row, &mut expected);
    let places = lake.get(expected.as_slice()).map_or(&[][..], Vec::as_slice);
    let right = places.iter().all(|partition| *partition == QUARANTINE);
    ensure!(right, "a conflict of {} is in {places:?}", sent.name);
    Ok(places.len())
}

fn judge(sent: &Sent, fate: &Fate) -> Result<(), Violation> {
    let name = &sent.name;
    let traces = fate.stored + fate.quarantined + fate.conflicts + fate.refused;
    match &sent.outcome {
        Outcome::Acknowledged(reply) => {
            ensure!(
                fate.missing == 0,
                "{name} was acknowledged, and of it: {fate:?}"
            );
            ensure!(
                reply.accepted == fate.stored
                    && reply.duplicates == fate.duplicates
                    && reply.conflicts == fate.conflicts
                    && reply.quarantined == fate.quarantined + fate.conflicts,
                "{name} was answered {reply:?}, and of it: {fate:?}"
            );
        }
        Outcome::Refused(error) => {
            ensure!(
                traces == 0,
                "{name} was refused ({error}), and of it: {fate:?}"
            );
        }
        Outcome::Unknown | Outcome::Waiting => {
            let all_or_nothing = traces == 0 || fate.missing == 0;
            ensure!(all_or_nothing, "{name} is there in part: {fate:?}");
        }
    }
    Ok(())
}

/// Compares the running totals with the lake and the senders.
fn check_totals(world: &World, objects: &[Seen]) -> Result<(), Violation> {
    let Some(node) = &world.node else {
        return Err("the node is down".to_owned());
    };
    let totals = node.writer.state().totals;
    let starts = |prefix: &[u8]| {
        let rows = objects.iter().flat_map(|object| &object.rows);
        rows.filter(|(_, row)| row.starts_with(prefix)).count() as u64
    };
    let refused_rows: BTreeSet<&[u8]> = {
        let sent = world.senders.sent.iter().flat_map(|sent| &sent.rows);
        let refused = sent.filter(|row| row.kind == RowKind::Refused);
        refused.map(|row| row.bytes.as_slice()).collect()
    };
    let rows = objects.iter().flat_map(|object| &object.rows);
    let refused = rows
        .filter(|(_, row)| refused_rows.contains(row.as_slice()))
        .count() as u64;
    let in_lake = starts(b"{");
    ensure!(
        totals.stored + totals.quarantined + totals.refused == in_lake && totals.refused == refused,
        "{totals:?}, and {in_lake} rows in the lake, {refused} of refused requests"
    );
    let (mut known, mut possible) = (polled(objects).len() as u64, 0);
    for sent in &world.senders.sent {
        match sent.outcome {
            Outcome::Acknowledged(_) => known += sent.events_total(),
            Outcome::Unknown | Outcome::Waiting => possible += sent.events_total(),
            Outcome::Refused(_) => {}
        }
    }
    ensure!(
        (known..=known + possible).contains(&totals.received),
        "{totals:?}, and between {known} and {} events were received",
        known + possible
    );
    Ok(())
}
