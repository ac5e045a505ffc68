//! Identities of records: those that earlier versions gave, and what a known id with other content is.

use std::collections::VecDeque;
use std::path::Path;

use lakehook::clock::Clock;
use lakehook::ids::Ids;
use lakehook::record::{Identity, Origin, RowKind, Rows};
use lakehook::wal::helper::Background;
use lakehook::wal::recover::{self, LocalWriter};
use lakehook::wal::request::{Append, Appended, NO_RUN, Request};

use crate::disk::{Crash, SimDisk};
use crate::shape::Shape;
use crate::world::{START, WAL};

fn open(disk: &SimDisk) -> LocalWriter<SimDisk> {
    let (clock, ids) = (Clock::manual(START), Ids::seeded(1));
    let settings = Shape::small(true).settings;
    let (disk, dir) = (disk.clone(), Path::new(WAL));
    let opened = recover::open(disk, dir, settings, clock, ids, Background::Inline);
    opened.unwrap().0
}

/// Appends one record, and returns what became of it.
fn append(
    writer: &mut LocalWriter<SimDisk>,
    identity: Identity,
    former: Option<Identity>,
    changed_is_duplicate: bool,
) -> Appended {
    let mut rows = Rows {
        former: former.into_iter().collect(),
        changed_is_duplicate,
        ..Rows::default()
    };
    let partition = rows.partition("events/dt=2026-11-20");
    rows.bytes.extend_from_slice(b"{}");
    rows.finish_row(1, partition, RowKind::Record(identity));
    let append = Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: START,
            endpoint: "/webhook/github".into(),
            request_id: "r".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    };
    let mut jobs = VecDeque::from([(Request::Append(Box::new(append)), ())]);
    let turn = writer.turn(&mut jobs);
    assert!(turn.fatal.is_none(), "{:?}", turn.fatal);
    turn.replies.into_iter().next().unwrap().1.unwrap()
}

fn identity(tag: u64, content: u32) -> Identity {
    Identity { tag, content }
}

#[test]
fn a_record_is_known_by_the_identity_that_earlier_versions_gave_it() {
    let disk = SimDisk::new(1);
    let mut writer = open(&disk);
    let before = identity(1, 10);
    assert_eq!(append(&mut writer, before, None, false).accepted, 1);
    drop(writer);
    disk.restart(Crash::Kill);
    let mut writer = open(&disk);
    let again = append(&mut writer, identity(2, 20), Some(before), false);
    assert_eq!((again.accepted, again.duplicates), (0, 1));
    // The same old id with other content was another's: the scopes of ids were one.
    let other = append(&mut writer, identity(2, 20), Some(identity(1, 11)), false);
    assert_eq!((other.accepted, other.duplicates), (1, 0));
    let known = append(&mut writer, identity(2, 20), Some(identity(1, 11)), false);
    assert_eq!(known.duplicates, 1);
}

#[test]
fn a_known_id_with_other_content_is_a_conflict_or_a_changed_duplicate() {
    let mut writer = open(&SimDisk::new(2));
    assert_eq!(append(&mut writer, identity(1, 10), None, true).accepted, 1);
    let changed = append(&mut writer, identity(1, 11), None, true);
    assert_eq!((changed.duplicates, changed.changed), (1, 1));
    assert_eq!((changed.conflicts, changed.quarantined), (0, 0));
    let same = append(&mut writer, identity(1, 10), None, true);
    assert_eq!((same.duplicates, same.changed), (1, 0));
    let conflict = append(&mut writer, identity(1, 11), None, false);
    assert_eq!((conflict.conflicts, conflict.quarantined), (1, 1));
}

/// Whether the log knows an identity; the question writes nothing.
fn knows(writer: &mut LocalWriter<SimDisk>, identity: Identity) -> bool {
    let mut jobs = VecDeque::from([(Request::Knows(identity), ())]);
    let turn = writer.turn(&mut jobs);
    assert!(turn.fatal.is_none() && turn.sync.is_zero() && turn.rows == 0);
    let reply = turn.replies.into_iter().next().unwrap().1.unwrap();
    assert_eq!((reply.accepted, reply.quarantined), (0, 0));
    reply.duplicates == 1
}

#[test]
fn an_identity_is_known_once_its_row_is_durable_and_asking_changes_nothing() {
    let disk = SimDisk::new(3);
    let mut writer = open(&disk);
    assert!(!knows(&mut writer, identity(1, 10)));
    assert!(!knows(&mut writer, identity(1, 10)));
    assert_eq!(append(&mut writer, identity(1, 10), None, true).accepted, 1);
    drop(writer);
    disk.restart(Crash::Power);
    let mut writer = open(&disk);
    assert!(knows(&mut writer, identity(1, 10)));
    assert!(!knows(&mut writer, identity(1, 11)));
    assert!(!knows(&mut writer, identity(2, 10)));
}
