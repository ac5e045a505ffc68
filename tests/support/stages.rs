//! The hot path in stages, each over the same events. The bench times them, and a test counts their
//! instructions.
//!
//! A stage is prepared once and run in rounds; what a round needs is prepared too. The events follow from a
//! seed and a fixed time, so that a round does the same work on every machine.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakehook::clock::{Clock, Micros};
use lakehook::contract::{Checked, Contract, Partitioning, Rules, Schemas};
use lakehook::encode::ndjson::Encoder;
use lakehook::encode::{Codec, Format};
use lakehook::files::Disk;
use lakehook::ids::{HashKey, Ids};
use lakehook::lake::Lake;
use lakehook::lake::directory::Directory;
use lakehook::lake::keys::object_key;
use lakehook::metrics::SourceCounts;
use lakehook::receive::watch::Watch;
use lakehook::record::{Fingerprint, Identity, Lsn, NO_RUN, Origin, RowKind, Rows};
use lakehook::ship::{Shipment, Shipper};
use lakehook::tables::{Table, Tables};
use lakehook::wal::batch::{Limits, Sums};
use lakehook::wal::dedup::recent::RecentIds;
use lakehook::wal::frame::{FrameBuilder, Section};
use lakehook::wal::helper::Background;
use lakehook::wal::lateness::Calendar;
use lakehook::wal::layout::FrameHeader;
use lakehook::wal::recover::{self, LocalWriter};
use lakehook::wal::request::{Append, Packing, Request, Settings};
use lakehook::wal::rows::BatchReader;
use lakehook::wal::state::SealAt;

use super::load::Source;

/// The stages, in the order of the data.
pub(crate) const STAGES: [&str; 11] = [
    "contract-w100",
    "contract-w1",
    "remember-w100",
    "remember-w1",
    "dedup",
    "frame",
    "log",
    "read-back",
    "encode-zst",
    "encode-gz",
    "ship-zst",
];

/// Events of one round.
pub(crate) const EVENTS: u64 = 2000;
const EVENTS_PER_REQUEST: u64 = 100;
/// 2026-11-20T12:00:00Z.
const NOW: Micros = Micros(1_795_176_000_000_000);
const SEGMENT_BYTES: u64 = 64 << 20;

/// A stage that is ready to run.
pub(crate) struct Stage {
    /// Does one round; returns how much of it was spent waiting for the disk.
    round: Box<dyn FnMut() -> Duration>,
}

impl Stage {
    /// Prepares the stage of that name, which writes below `dir`.
    pub(crate) fn prepare(name: &str, dir: &Path) -> Self {
        let round: Box<dyn FnMut() -> Duration> = match name {
            "contract-w100" => contract(EVENTS_PER_REQUEST),
            "contract-w1" => contract(1),
            "remember-w100" => remember(EVENTS_PER_REQUEST),
            "remember-w1" => remember(1),
            "dedup" => dedup(),
            "frame" => frame(),
            "log" => log(dir),
            "read-back" => read_back(dir),
            "encode-zst" => encode(Codec::Zst),
            "encode-gz" => encode(Codec::Gz),
            "ship-zst" => ship(dir),
            other => panic!("there is no stage {other}"),
        };
        Self { round }
    }

    /// Does one round; returns how much of it was spent waiting for the disk.
    pub(crate) fn run(&mut self) -> Duration {
        (self.round)()
    }
}

fn bodies(events_per_request: u64) -> Vec<Vec<u8>> {
    let source = Source {
        seed: 1,
        now: NOW,
        days: 1,
    };
    let starts = (0..EVENTS).step_by(usize::try_from(events_per_request).unwrap());
    starts
        .map(|start| source.body(start..start + events_per_request))
        .collect()
}

fn origin() -> Origin {
    Origin {
        received_at: NOW,
        endpoint: "/webhook/events".into(),
        request_id: "0123456789abcdef".into(),
        client: None,
    }
}

fn rules() -> Contract {
    let schemas = Schemas::embedded().unwrap();
    Contract::new(
        Rules::default(),
        schemas,
        Fingerprint::new(HashKey([7; 16])),
    )
}

fn checked() -> Vec<Checked> {
    let (contract, origin) = (rules(), origin());
    let bodies = bodies(EVENTS_PER_REQUEST);
    let checked = bodies.iter().map(|body| contract.check(body, &origin));
    checked.map(Result::unwrap).collect()
}

fn contract(events_per_request: u64) -> Box<dyn FnMut() -> Duration> {
    let (contract, origin) = (rules(), origin());
    let bodies = bodies(events_per_request);
    Box::new(move || {
        for body in &bodies {
            let checked = contract.check(body, &origin).unwrap();
            assert_eq!(u64::from(checked.received), events_per_request);
        }
        Duration::ZERO
    })
}

/// What became of requests, as those who ask for one are told it.
fn remember(events_per_request: u64) -> Box<dyn FnMut() -> Duration> {
    let (contract, origin) = (rules(), origin());
    let bodies = bodies(events_per_request);
    let checked = bodies.iter().map(|body| contract.check(body, &origin));
    let requests: Vec<Rows> = checked.map(|checked| checked.unwrap().rows).collect();
    let watch = Watch::default();
    Box::new(move || {
        for rows in &requests {
            let watched = watch.begin(&origin, rows);
            let counts = SourceCounts {
                accepted: events_per_request,
                ..SourceCounts::default()
            };
            watch.end(watched, counts);
        }
        Duration::ZERO
    })
}

fn identities(rows: &Rows) -> impl Iterator<Item = Identity> {
    rows.rows.iter().filter_map(|row| match row.kind {
        RowKind::Record(identity) => Some(identity),
        _ => None,
    })
}

/// Gives the same rows other tags, so that they are new again.
fn renewed(identity: Identity, round: u64) -> Identity {
    let tag = identity.tag ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Identity { tag, ..identity }
}

/// A table like the program's, of which each round touches other slots.
fn dedup() -> Box<dyn FnMut() -> Duration> {
    let requests = checked();
    let mut dedup = RecentIds::new(RecentIds::window_of_bytes(32 << 20));
    let mut round = 0;
    Box::new(move || {
        for request in &requests {
            let renewed = || identities(&request.rows).map(|own| renewed(own, round));
            dedup.look_ahead(renewed());
            for identity in renewed() {
                dedup.insert(identity);
            }
        }
        round += 1;
        Duration::ZERO
    })
}

fn frame() -> Box<dyn FnMut() -> Duration> {
    let requests = checked();
    let mut frame = FrameBuilder::new(Lsn(1));
    let mut sections: Vec<Section> = Vec::new();
    Box::new(move || {
        frame.restart(Lsn(1));
        for Checked { rows, .. } in &requests {
            sections.resize_with(rows.partitions.len().max(sections.len()), Section::default);
            for (row, bytes) in rows.iter() {
                let section = &mut sections[row.partition as usize];
                section.push(row.kind, row.lsn_at, bytes, NOW);
            }
        }
        for section in &mut sections {
            frame.put_section(NO_RUN, "events/dt=2026-11-20", section, None);
            section.clear();
        }
        let header = FrameHeader {
            crc: 0,
            segment_id: 1,
            number: 1,
            body_bytes: 0,
            previous_crc: 0,
            first_lsn: frame.first_lsn,
            rows: frame.rows,
            written_at: NOW,
        };
        header.seal(frame.bytes_mut());
        Duration::ZERO
    })
}

fn writer(dir: &Path, format: &str) -> LocalWriter<Disk> {
    open_log(dir, format)
}

/// Fills a log with this many bytes of rows that are in no sealed batch, and leaves it as a crash would. Returns
/// the number of rows.
pub(crate) fn fill_log(dir: &Path, bytes: u64) -> u64 {
    let requests = checked();
    let mut writer = writer(dir, "ndjson.zst");
    let (mut round, mut rows) = (0, 0);
    while writer.used_bytes() < bytes {
        let jobs = requests.iter().map(|request| append_of(request, round));
        let mut jobs: VecDeque<_> = jobs.map(|request| (request, ())).collect();
        round += 1;
        while !jobs.is_empty() {
            rows += u64::from(writer.turn(&mut jobs).rows);
        }
    }
    rows
}

/// Opens a log as the program does, except for the bounds on space.
pub(crate) fn open_log(dir: &Path, format: &str) -> LocalWriter<Disk> {
    let events = Partitioning::default();
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        first_segment_bytes: SEGMENT_BYTES,
        max_bytes: 64 << 30,
        dedup_window: RecentIds::window_of_bytes(32 << 20),
        max_ids: 50_000_000,
        filter_bytes: 96 << 20,
        ids_per_file: 500_000,
        limits: Limits {
            max_bytes: 128 << 20,
            max_records: 1 << 40,
            max_age: Duration::from_secs(60),
            late_max_age: Duration::from_secs(60),
            max_waiting_seals: 64,
        },
        calendar: Calendar::new(move |time| vec![events.key(time)]),
        lake: "dir:lake".to_owned(),
        format: format.to_owned(),
        packing: Format::parse(format)
            .and_then(Format::packed_with)
            .map(Packing::of),
        object_key,
        conflict_row: |_, _, _| 0,
        conflict_partition: |_| "quarantine/events/dt=2026-11-20".to_owned(),
    };
    let (clock, ids) = (Clock::manual(NOW), Ids::seeded(1));
    recover::open(Disk, dir, settings, clock, ids, Background::Inline)
        .unwrap()
        .0
}

fn append_of(checked: &Checked, round: u64) -> Request {
    let mut rows = checked.rows.clone();
    for row in &mut rows.rows {
        if let RowKind::Record(identity) = &mut row.kind {
            *identity = renewed(*identity, round);
        }
    }
    Request::Append(Box::new(Append {
        rows,
        dropped: 0,
        origin: origin(),
        run: NO_RUN,
        cursor: None,
    }))
}

/// A whole turn of the writer except for the disk; it includes a copy of the requests.
fn log(dir: &Path) -> Box<dyn FnMut() -> Duration> {
    let requests = checked();
    let mut writer = writer(&dir.join("log"), "ndjson.zst");
    let mut round = 0;
    Box::new(move || {
        let jobs = requests.iter().map(|request| append_of(request, round));
        let mut jobs: VecDeque<_> = jobs.map(|request| (request, ())).collect();
        round += 1;
        let mut waited = Duration::ZERO;
        while !jobs.is_empty() {
            let turn = writer.turn(&mut jobs);
            assert!(turn.fatal.is_none());
            assert!(turn.replies.iter().all(|((), reply)| reply.is_ok()));
            waited += turn.sync;
        }
        waited
    })
}

/// A log with one round in it, sealed.
fn sealed(dir: &Path) -> (PathBuf, Vec<(u64, SealAt)>) {
    let path = dir.join("sealed");
    let mut writer = writer(&path, "ndjson.zst");
    let requests = checked();
    let jobs = requests.iter().map(|request| append_of(request, 0));
    let mut jobs: VecDeque<_> = jobs.map(|request| (request, ())).collect();
    jobs.push_back((Request::Flush, ()));
    let mut sealed = Vec::new();
    while !jobs.is_empty() {
        sealed.extend(writer.turn(&mut jobs).sealed);
    }
    assert!(!sealed.is_empty());
    (path, sealed)
}

fn read_back(dir: &Path) -> Box<dyn FnMut() -> Duration> {
    let (path, sealed) = sealed(dir);
    let reader = BatchReader::new(Disk, &path);
    let seals = sealed
        .iter()
        .map(|(number, at)| reader.seal(*number, *at).unwrap());
    let seals: Vec<_> = seals.collect();
    Box::new(move || {
        for seal in &seals {
            let mut sums = Sums::default();
            let read = reader.for_each_row(seal, |_, row| {
                sums.count += 1;
                sums.bytes += row.bytes.len() as u64 + 1;
                Ok(())
            });
            read.unwrap();
            assert_eq!((sums.count, sums.bytes), (seal.sums.count, seal.sums.bytes));
        }
        Duration::ZERO
    })
}

fn encode(codec: Codec) -> Box<dyn FnMut() -> Duration> {
    let requests = checked();
    Box::new(move || {
        let mut encoder = Encoder::new(codec, Vec::with_capacity(1 << 20)).unwrap();
        let mut lsn = 0;
        for request in &requests {
            for (row, bytes) in request.rows.iter() {
                lsn += 1;
                encoder.row(Lsn(lsn), row.lsn_at as usize, bytes).unwrap();
            }
        }
        assert!(!encoder.finish().unwrap().is_empty());
        Duration::ZERO
    })
}

/// From the sealed log to the local file that is put: reading, hashes, encoding, checksum.
fn ship(dir: &Path) -> Box<dyn FnMut() -> Duration> {
    let (path, sealed) = sealed(dir);
    let lake = Arc::new(Lake::Directory(Directory::new(Disk, &dir.join("lake"))));
    let schemas = Schemas::embedded().unwrap();
    let types = Rules::default().types;
    let texts: Vec<String> = schemas.texts(&types).collect();
    let table = Table::events(texts.iter().map(String::as_str)).unwrap();
    let tables = Tables::new([("events".to_owned(), table)].into_iter());
    let node = lakehook::ids::NodeId(1);
    let shipper = Shipper::new(Disk, &path, node, lake, Arc::new(tables));
    Box::new(move || {
        for (number, at) in &sealed {
            shipper.prepare(&mut Shipment::new(*number, *at)).unwrap();
        }
        Duration::ZERO
    })
}
