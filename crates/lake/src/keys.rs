//! Object keys: the layout of the lake. Pure.
//!
//! Nothing of a payload gets into a key except a computed date. Keys of data depend on no clock and
//! no random number, so a batch has the same key however often it is put.

use crate::encode::Format;
use lakehook_base::clock::Micros;
use lakehook_base::ids::NodeId;
use lakehook_base::record::Lsn;

/// The folder of everything that belongs to no table: markers, notes, probes, sidecars, unfinished files.
pub const INTERNAL: &str = "_lakehook";

/// Key of a batch's object. Keys of one node and partition sort by LSN.
pub fn object_key(partition: &str, node: NodeId, first_lsn: Lsn, format: &str) -> String {
    format!("{partition}/{node}-{:020}.{format}", first_lsn.0)
}

/// The node that wrote an object and the LSN of its first row, if the name has the form that
/// [`object_key`] gives.
pub fn holder_of(key: &str) -> Option<(NodeId, Lsn)> {
    let (_, name) = key.rsplit_once('/')?;
    let (stem, format) = name.split_once('.')?;
    let (node, lsn) = stem.split_once('-')?;
    Format::parse(format)?;
    let is_sized = node.len() == 16 && lsn.len() == 20;
    let digits = lsn.bytes().all(|byte| byte.is_ascii_digit());
    let hex = node
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !(is_sized && digits && hex) {
        return None;
    }
    let node = u64::from_str_radix(node, 16).ok()?;
    Some((NodeId(node), Lsn(lsn.parse().ok()?)))
}

/// The first folder of a key: the stream, in our keys. `None` for a key without a folder.
pub fn top_folder(key: &str) -> Option<&str> {
    key.split_once('/').map(|(top, _)| top)
}

/// The stream of a partition: what is before its first `name=value`.
pub fn stream_of(partition: &str) -> &str {
    let is_value = |at: &usize| {
        let part = partition[at + 1..].split('/').next();
        part.is_some_and(|part| part.contains('='))
    };
    let ends = partition.match_indices('/').map(|(at, _)| at);
    let end = ends.filter(is_value).min_by(usize::cmp);
    &partition[..end.unwrap_or(partition.len())]
}

/// The rest of a key below the internal folder; `None` for other keys.
pub fn in_internal(key: &str) -> Option<&str> {
    key.strip_prefix(INTERNAL)?.strip_prefix('/')
}

/// Key of the label, by which a log recognises its lake.
pub fn label_key() -> String {
    format!("{INTERNAL}/lake.json")
}

/// Key of the anchor of a log that is kept in a bucket; the name has a folder.
pub fn anchor_key(name: &str) -> String {
    format!("{INTERNAL}/logs/{name}.json")
}

/// Name of the local file of an anchor before it is put.
pub fn anchor_part_name(name: &str, node: NodeId) -> String {
    let name = name.replace('/', "-");
    format!("anchor-{name}-{node}.part")
}

/// Key of the object that shows whether the store honours conditions.
pub fn probe_key() -> String {
    format!("{INTERNAL}/probe")
}

/// Key of the object that shows whether the store compares checksums.
pub fn check_probe_key(md5: bool) -> String {
    let name = if md5 { "probe-md5" } else { "probe-crc32c" };
    format!("{INTERNAL}/{name}")
}

/// Key of the object that shows whether the store honours `If-Match`.
pub fn if_match_probe_key() -> String {
    format!("{INTERNAL}/probe-if-match")
}

/// Key of the lease of erasures and retentions.
pub fn lease_key() -> String {
    format!("{INTERNAL}/lease")
}

/// Keys of the notes of erasures begin with this.
pub fn erasures_prefix() -> String {
    format!("{INTERNAL}/erasures/")
}

/// Key of the note that an erasure has begun, or is done.
pub fn erasure_key(id: u128, is_done: bool) -> String {
    let state = if is_done { "done" } else { "begun" };
    format!("{}{id:032x}-{state}.json", erasures_prefix())
}

/// Keys of the notes of retentions begin with this.
pub fn retention_prefix() -> String {
    format!("{INTERNAL}/retention/")
}

/// Key of the note of a retention that lists objects which it removes. A random `number` tells notes of the same
/// second apart.
pub fn retention_key(at: Micros, number: u128) -> String {
    let time = at.to_utc().unwrap_or_default();
    let time = time.format("%Y%m%dT%H%M%SZ");
    format!("{}{time}-{number:032x}.json", retention_prefix())
}

/// Key of the sidecar of an object in a directory lake.
pub fn sidecar_key(key: &str) -> String {
    format!("{INTERNAL}/meta/{key}.json")
}

/// Name of the file with the new bytes of an object that an erasure rewrites.
pub fn erasing_name(id: u128, key: &str) -> String {
    let key = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    format!("{}{key:032x}.part", erasing_prefix(id))
}

/// Names of the files of an erasure begin with this.
pub fn erasing_prefix(id: u128) -> String {
    format!("erase-{id:032x}-")
}

/// Name of a run of a poll: the names of one poll sort by time. The node is part of it because two
/// nodes may poll into one lake.
pub fn run_name(started: Micros, node: NodeId, run: Lsn) -> String {
    let time = started.to_utc().unwrap_or_default();
    format!("{}-{node}-{:020}", time.format("%Y%m%dT%H%M%SZ"), run.0)
}

/// Partition of a snapshot.
pub fn run_partition(stream: &str, started: Micros, name: &str) -> String {
    format!("{}/run={name}", day_partition(stream, started))
}

/// Partition of a day, in UTC.
pub fn day_partition(stream: &str, time: Micros) -> String {
    let day = time.to_utc().unwrap_or_default();
    format!("{stream}/dt={}", day.format("%Y-%m-%d"))
}

/// Prefix of the markers of a stream's runs.
pub fn runs_prefix(stream: &str) -> String {
    format!("{INTERNAL}/runs/{stream}/")
}

/// Key of the marker that makes a run of a stream visible.
pub fn marker_key(stream: &str, run: &str) -> String {
    format!("{}{run}.json", runs_prefix(stream))
}

/// Prefix of the notes of a stream's columns.
pub fn columns_prefix(stream: &str) -> String {
    format!("{INTERNAL}/columns/{stream}/")
}

/// Key of a note of a stream's columns. They are numbered from 1, whichever node puts them.
pub fn columns_key(stream: &str, number: u64) -> String {
    format!("{}{number:08}.json", columns_prefix(stream))
}

/// Key of a version of a stream's field ids. They are numbered from 1, whichever node puts them.
pub fn field_ids_key(stream: &str, number: u64) -> String {
    format!("{INTERNAL}/fields/{stream}/{number:08}.json")
}

/// Key of the note that names the LSNs that a repair could not read.
pub fn lost_key(old: NodeId, new: NodeId) -> String {
    format!("{INTERNAL}/lost/{old}-{new}.json")
}

/// Prefix of the keys of marks.
pub fn replays_prefix() -> String {
    format!("{INTERNAL}/replays/")
}

/// Key of the mark of a replay into the log of a node. A random `number` tells marks of the same
/// second apart.
pub fn replay_key(at: Micros, node: NodeId, number: u64) -> String {
    let time = at.to_utc().unwrap_or_default();
    let time = time.format("%Y%m%dT%H%M%SZ");
    format!("{}{time}-{node}-{number:016x}.json", replays_prefix())
}

/// Name of the local file for a marker. It contains the nonce of the run's end, as names for
/// batches contain the seal's.
pub fn run_part_name(node: NodeId, run: Lsn, nonce: u128) -> String {
    format!("{node}-run-{run}-{nonce:032x}.part")
}

/// Name of the local file for a batch's object. It contains the seal's nonce: two copies of one log
/// have the same node and seal numbers, and must not write to each other's file in a lake that they
/// share.
pub fn part_name(node: NodeId, seal: u64, nonce: u128) -> String {
    format!("{node}-{seal}-{nonce:032x}.part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_belongs_to_a_stream() {
        assert_eq!(stream_of("events/dt=2026-11-20/hour=05"), "events");
        assert_eq!(
            stream_of("quarantine/events/dt=2026-11-20"),
            "quarantine/events"
        );
        assert_eq!(stream_of("users/dt=2026-11-20/run=x"), "users");
        assert_eq!(stream_of("users"), "users");
    }

    #[test]
    fn names_of_objects_are_recognised() {
        let key = object_key("events/dt=2026-11-20", NodeId(0xab), Lsn(42), "ndjson.zst");
        assert_eq!(holder_of(&key), Some((NodeId(0xab), Lsn(42))));
        for other in [
            "events/00000000000000ab-00000000000000000042.csv",
            "events/00000000000000AB-00000000000000000042.ndjson",
            "events/0000000000000ab-000000000000000000042.ndjson",
            "events/00000000000000ab-99999999999999999999.ndjson",
            "events/00000000000000ab-0000000000000000004x.ndjson",
            "00000000000000ab-00000000000000000042.ndjson",
            "events/",
        ] {
            assert_eq!(holder_of(other), None, "{other}");
        }
    }

    #[test]
    fn keys_are_as_documented() {
        let key = object_key("events/dt=2026-11-20", NodeId(0xab), Lsn(42), "ndjson.zst");
        insta::assert_snapshot!(key, @"events/dt=2026-11-20/00000000000000ab-00000000000000000042.ndjson.zst");
        insta::assert_snapshot!(probe_key(), @"_lakehook/probe");
        insta::assert_snapshot!(part_name(NodeId(0xab), 7, 9), @"00000000000000ab-7-00000000000000000000000000000009.part");
        insta::assert_snapshot!(run_part_name(NodeId(0xab), Lsn(7), 9), @"00000000000000ab-run-7-00000000000000000000000000000009.part");
        let run = run_name(Micros(0), NodeId(0xab), Lsn(7));
        insta::assert_snapshot!(run, @"19700101T000000Z-00000000000000ab-00000000000000000007");
        let replay = replay_key(Micros(0), NodeId(0xab), 7);
        insta::assert_snapshot!(replay, @"_lakehook/replays/19700101T000000Z-00000000000000ab-0000000000000007.json");
        let partition = run_partition("users", Micros(0), "r");
        insta::assert_snapshot!(partition, @"users/dt=1970-01-01/run=r");
        insta::assert_snapshot!(columns_key("users", 7), @"_lakehook/columns/users/00000007.json");
        insta::assert_snapshot!(marker_key("users", "20261120T170000Z-ab-7"), @"_lakehook/runs/users/20261120T170000Z-ab-7.json");
    }
}
