//! Retention, one way to fail at a time: kills at every operation, puts and deletions that get lost, arrive late or
//! are answered by a stranger. Whenever it ends, the audit adds up, and the next run finishes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lakehook::audit::{AuditedObject, Waiting, judge, judge_retentions};
use lakehook::clock::Micros;
use lakehook::erase::standing::{LogSeals, Standing};
use lakehook::lake::keys::{in_internal, retention_key, retention_prefix, sidecar_key};
use lakehook::lake::stamp::{Erased, Stamp};
use lakehook::lake::{LakeError, Trouble};
use lakehook::retain::expire::{Claimed, Expirer, Removed};
use lakehook::retain::notes::{RetentionNote, Retentions, leave};

use crate::disk::Crash;
use crate::shape::Shape;
use crate::store::StoreFault;
use crate::world::{LAKE, World};

const EVENTS: u64 = 40;

/// A node whose events are all in the lake and committed, in several objects.
fn landed(seed: u64, directory: bool) -> World {
    let mut shape = Shape::small(directory);
    shape.settings.first_segment_bytes = 64 << 10;
    shape.settings.limits.max_records = 3;
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    for _ in 0..EVENTS {
        world.submit_one();
        world.turn().unwrap();
    }
    world.flush();
    world.turn().unwrap();
    world.drain().unwrap();
    world
}

fn confirmed(world: &World) -> Standing {
    let seals = LogSeals {
        last: u64::MAX,
        ..LogSeals::default()
    };
    Standing {
        logs: [(world.node.as_ref().unwrap().writer.node(), seals)].into(),
        newest: BTreeMap::new(),
        now: Micros(0),
    }
}

/// Every key of the lake with its bytes.
fn everything(world: &World) -> BTreeMap<String, Vec<u8>> {
    if world.shape.directory {
        let tree = world.disk.tree(Path::new(LAKE)).into_iter();
        let key = |path: &Path| path.strip_prefix(LAKE).unwrap().display().to_string();
        return tree.map(|(path, bytes)| (key(&path), bytes)).collect();
    }
    let objects = world.store.objects().into_iter();
    objects.map(|(key, object)| (key, object.bytes)).collect()
}

fn data_keys(world: &World) -> BTreeSet<String> {
    let keys = everything(world).into_keys();
    keys.filter(|key| in_internal(key).is_none()).collect()
}

fn notes(world: &World) -> Vec<RetentionNote> {
    let all = everything(world);
    let notes = all
        .iter()
        .filter(|(key, _)| key.starts_with(&retention_prefix()));
    notes
        .map(|(_, text)| serde_json::from_slice(text).unwrap())
        .collect()
}

/// What a process does that runs the command: it first finishes what notes list, and ends at the first error.
fn attempt(world: &World, expired: &BTreeSet<String>) -> Result<(), LakeError> {
    let (lake, standing) = (world.lake(), confirmed(world));
    let remover = Expirer {
        lake: &lake,
        standing: &standing,
    };
    let keys = everything(world);
    let mut noted = BTreeSet::new();
    for listed in notes(world).into_iter().flat_map(|note| note.objects) {
        if keys.contains_key(&listed.key) || keys.contains_key(&sidecar_key(&listed.key)) {
            assert_ne!(remover.remove(&listed)?, Removed::Changed);
        }
        noted.insert(listed.key);
    }
    let mut objects = Vec::new();
    for key in data_keys(world).intersection(expired) {
        match remover.claim(key)? {
            Claimed::Yes(listed) => objects.push(listed),
            other => panic!("{key}: {other:?}"),
        }
    }
    if objects.is_empty() {
        return Ok(());
    }
    // Two notes.
    let half = objects.len().div_ceil(2);
    for objects in objects.chunks(half) {
        let number = world.ids.next_u128().unwrap();
        let note = RetentionNote {
            version: 1,
            at: String::new(),
            first_kept_day: String::new(),
            node: None,
            objects: objects.to_vec(),
        };
        let by = world.node.as_ref().unwrap().writer.node();
        let key = retention_key(Micros(0), number);
        leave(&world.disk, &lake, &key, by, &note)?;
    }
    for listed in &objects {
        assert_eq!(remover.remove(listed)?, Removed::Now);
    }
    Ok(())
}

/// What the audit sees: no problem, and each object is there or expired.
fn adds_up(world: &World, all: usize) -> u64 {
    let lake = world.lake();
    let mut objects: Vec<AuditedObject> = data_keys(world)
        .into_iter()
        .map(|key| {
            let looked = lake.look(&key).unwrap().unwrap();
            AuditedObject {
                key,
                bytes: looked.bytes,
                declared: looked.declared,
                stamp: Stamp::from_metadata(&looked.metadata),
                expired: false,
            }
        })
        .collect();
    let mut retentions = Retentions::default();
    for note in notes(world) {
        retentions.take(note);
    }
    let mut found = Vec::new();
    judge_retentions(&mut objects, &retentions, &mut found);
    let (proofs, problems) = judge(&objects, &Waiting::new());
    found.extend(problems);
    found.extend(lakehook::audit::deep::running_sums(&objects));
    assert_eq!(found, []);
    assert_eq!((proofs[0].objects + proofs[0].expired) as usize, all);
    proofs[0].expired
}

/// The first half of the objects.
fn half(world: &World) -> (BTreeSet<String>, usize) {
    let keys = data_keys(world);
    let all = keys.len();
    assert!(all > 6, "{keys:?}");
    (keys.into_iter().take(all / 2).collect(), all)
}

fn is_done(world: &World, expired: &BTreeSet<String>, all: usize) {
    let left = everything(world);
    for key in expired {
        let names = [key.clone(), sidecar_key(key)];
        assert!(!names.iter().any(|name| left.contains_key(name)), "{key}");
    }
    assert_eq!(adds_up(world, all), expired.len() as u64);
    assert_eq!(data_keys(world).len(), all - expired.len());
}

#[test]
fn what_expired_goes_and_a_second_run_changes_nothing() {
    for directory in [false, true] {
        let world = landed(1, directory);
        let (expired, all) = half(&world);
        assert_eq!(adds_up(&world, all), 0);
        attempt(&world, &expired).unwrap();
        is_done(&world, &expired, all);
        let after = everything(&world);
        attempt(&world, &expired).unwrap();
        assert_eq!(everything(&world), after);
    }
}

/// By a kill or a power cut, at every operation of the disk.
#[test]
fn a_retention_in_a_directory_may_be_cut_anywhere() {
    let (mut cuts, mut listed_and_there) = (0, 0);
    for steps in 1..160 {
        for crash in [Crash::Kill, Crash::Power] {
            let mut world = landed(2 + steps % 3, true);
            let (expired, all) = half(&world);
            let at = world.disk.ops() + steps;
            world.disk.faults(|faults| faults.crash_at = Some(at));
            let outcome = attempt(&world, &expired);
            cuts += u64::from(outcome.is_err());
            world.restart(crash).unwrap();
            let gone = adds_up(&world, all);
            let listed: usize = notes(&world).iter().map(|note| note.objects.len()).sum();
            listed_and_there += usize::from(listed as u64 > gone);
            world.drain().unwrap();
            attempt(&world, &expired).unwrap();
            is_done(&world, &expired, all);
        }
    }
    assert!(
        cuts > 60 && listed_and_there > 20,
        "{cuts} {listed_and_there}"
    );
}

/// At every deletion: it fails, or its answer is lost, or a stranger answers.
#[test]
fn whatever_becomes_of_a_deletion_the_audit_adds_up() {
    let faults = [
        StoreFault::Refused(Trouble::Server),
        StoreFault::LostAnswer,
        StoreFault::Stranger,
    ];
    for fault in faults {
        let (expired, all) = half(&landed(5, false));
        for at in 0..expired.len() {
            let world = landed(5, false);
            world.store.faults(|state| {
                state.deletes = vec![None; at];
                state.deletes.push(Some(fault));
            });
            let outcome = attempt(&world, &expired);
            assert_eq!(outcome.is_ok(), fault == StoreFault::Stranger);
            let gone = adds_up(&world, all);
            let expected = match fault {
                StoreFault::Stranger => expired.len() - 1,
                StoreFault::LostAnswer => at + 1,
                _ => at,
            };
            assert_eq!(gone, expected as u64);
            attempt(&world, &expired).unwrap();
            is_done(&world, &expired, all);
        }
    }
}

/// The put of a note fails, its answer is lost, or it arrives when the command has long ended.
#[test]
fn nothing_is_removed_without_its_note() {
    for fault in [
        StoreFault::Refused(Trouble::Server),
        StoreFault::LostAnswer,
        StoreFault::Late,
        StoreFault::Stranger,
    ] {
        for put in 0..2 {
            let world = landed(6, false);
            let (expired, all) = half(&world);
            world.store.faults(|state| {
                state.notes = vec![None; put];
                state.notes.push(Some(fault));
            });
            assert!(attempt(&world, &expired).is_err());
            assert_eq!(
                adds_up(&world, all),
                0,
                "removed before the note was proven"
            );
            world.store.deliver_late();
            assert_eq!(adds_up(&world, all), 0);
            attempt(&world, &expired).unwrap();
            is_done(&world, &expired, all);
        }
    }
}

/// A put that was under way for long stores an object again after its removal.
#[test]
fn what_comes_back_is_removed_again() {
    let world = landed(7, false);
    let (expired, all) = half(&world);
    let before = world.store.objects();
    attempt(&world, &expired).unwrap();
    let key = expired.first().unwrap();
    world.store.plant(key, before[key].clone());
    assert_eq!(adds_up(&world, all), expired.len() as u64 - 1);
    attempt(&world, &BTreeSet::new()).unwrap();
    is_done(&world, &expired, all);
}

#[test]
fn what_was_changed_after_its_note_stays_and_is_named() {
    let world = landed(8, false);
    let (expired, _) = half(&world);
    let before = world.store.objects();
    attempt(&world, &expired).unwrap();
    let key = expired.first().unwrap();
    let mut object = before[key].clone();
    object.bytes.push(b'\n');
    world.store.plant(key, object);
    let (lake, standing) = (world.lake(), confirmed(&world));
    let remover = Expirer {
        lake: &lake,
        standing: &standing,
    };
    let listed = notes(&world).into_iter().flat_map(|note| note.objects);
    let listed = listed
        .into_iter()
        .find(|listed| listed.key == *key)
        .unwrap();
    assert_eq!(remover.remove(&listed).unwrap(), Removed::Changed);
    assert!(world.store.objects().contains_key(key));
    let stamp = Stamp::from_metadata(&before[key].metadata).unwrap();
    let bytes = before[key].bytes.len() as u64;
    assert!(listed.is_still(bytes, &stamp) && !listed.is_still(bytes + 1, &stamp));
    // Rows may have been erased from it between the note and the removal.
    let erased = Stamp {
        erased: Some(Erased {
            erasure: 1,
            rows: 1,
            lsn_hash: 1,
        }),
        crc: 0,
        ..stamp.clone()
    };
    assert!(listed.is_still(bytes - 1, &erased));
    let other = Stamp { count: 1, ..stamp };
    assert!(!listed.is_still(bytes, &other));
}

#[test]
fn an_object_whose_commit_is_not_confirmed_is_not_listed() {
    let world = landed(9, false);
    let (lake, standing) = (world.lake(), Standing::default());
    let remover = Expirer {
        lake: &lake,
        standing: &standing,
    };
    for key in data_keys(&world) {
        let claimed = remover.claim(&key).unwrap();
        assert!(matches!(claimed, Claimed::Left(_)), "{claimed:?}");
    }
}
