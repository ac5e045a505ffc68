#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::ids::NodeId;
use crate::lake::keys::object_key;
use crate::lake::stamp::{CountedLsns, LogState, RunningTotals, Stamp, StampError};
use crate::record::Lsn;

const NODE: NodeId = NodeId(0xab);

/// An object with these LSNs. As of its seal, the log goes up to `as_of`, with these LSNs open and void.
fn object(seal: u64, lsns: &[u64], as_of: u64, open: &[u64], void: &[u64]) -> AuditedObject {
    let set = |lsns: &[u64]| CountedLsns {
        count: lsns.len() as u64,
        hash: lsns
            .iter()
            .fold(0, |sum, lsn| sum.wrapping_add(Lsn(*lsn).hash())),
    };
    let all: Vec<u64> = (1..=as_of).collect();
    let partition = "events/dt=2026-11-25";
    let first_lsn = Lsn(lsns[0]);
    AuditedObject {
        key: object_key(partition, NODE, first_lsn, "ndjson"),
        bytes: 100,
        declared: Some(100),
        stamp: Ok(Stamp {
            node: NODE,
            seal,
            nonce: 1,
            partition: partition.to_owned(),
            first_lsn,
            last_lsn: Lsn(lsns[lsns.len() - 1]),
            count: lsns.len() as u64,
            row_hash: 2,
            lsn_hash: set(lsns).hash,
            crc: 3,
            as_of: LogState {
                lsn: Lsn(as_of),
                lsn_hash: set(&all).hash,
                open: set(open),
                void: set(void),
                watermark: "2026-11-25T00:00:00.000000Z".to_owned(),
                totals: RunningTotals {
                    received: as_of,
                    stored: as_of,
                    ..RunningTotals::default()
                },
            },
            erased: None,
            parcel_of: None,
        }),
        expired: false,
    }
}

/// Replaces one entry of the object's metadata.
fn change(object: &mut AuditedObject, name: &str, value: &str) {
    let mut metadata = object.stamp.as_ref().unwrap().to_metadata();
    metadata.insert(format!("lakehook-{name}"), value.to_owned());
    object.stamp = Stamp::from_metadata(&metadata);
}

/// Three seals: 1 to 3 with 4 open, 4 to 6 with 7 void and 8 open, 8 to 9.
fn lake() -> Vec<AuditedObject> {
    vec![
        object(1, &[1, 2, 3], 4, &[4], &[]),
        object(2, &[4, 5, 6], 8, &[8], &[7]),
        object(3, &[8, 9], 9, &[], &[7]),
    ]
}

fn problems(objects: &[AuditedObject]) -> Vec<String> {
    let (_, problems) = judge(objects, &Waiting::new());
    problems.into_iter().map(|problem| problem.what).collect()
}

#[test]
fn a_whole_lake_adds_up() {
    let (proofs, problems) = judge(&lake(), &Waiting::new());
    assert_eq!(problems, []);
    let proof = &proofs[0];
    assert_eq!((proof.objects, proof.rows), (3, 8));
    assert_eq!((proof.last_seal, proof.up_to_lsn, proof.void), (3, 9, 1));
}

#[test]
fn a_missing_object_is_named_by_its_seal_and_does_not_spoil_the_rest() {
    let mut objects = lake();
    objects.remove(1);
    let expected = "before it, seal 2 is missing, with 3 rows of the LSNs up to 9";
    assert_eq!(problems(&objects), [expected]);
    objects.remove(0);
    let expected = "before it, seals 1 to 2 are missing, with 6 rows of the LSNs up to 9";
    assert_eq!(problems(&objects), [expected]);
    // Rows that the log still holds are not missing.
    let waiting = Waiting::from([(NODE, [1, 2].into())]);
    assert_eq!(judge(&objects, &waiting).1, []);
}

#[test]
fn claims_that_do_not_go_together_are_named() {
    let changed = |index: usize, name: &str, value: &str| {
        let mut objects = lake();
        change(&mut objects[index], name, value);
        problems(&objects).join("; ")
    };
    assert!(changed(1, "lsn-hash", "00").contains("not those that its log had for it"));
    assert!(changed(1, "count", "2").contains("1 more are accounted for"));
    assert!(changed(2, "as-of-lsn-hash", "00").contains("not those that its log had for it"));
    assert!(changed(2, "as-of-lsn", "7").contains("contradict each other"));
    // However high the claimed LSN is, the answer comes at once.
    let far = u64::MAX.to_string();
    assert!(changed(2, "as-of-lsn", &far).contains("more are accounted for"));
    assert!(changed(0, "total-dropped", "5").contains("4 were received and 9 accounted for"));
    assert!(changed(2, "seal", "2").contains("it has the seal of"));
    assert!(changed(1, "first-lsn", "3").contains("another object, whose place is"));
    assert!(changed(0, "as-of-open", "one").contains("cannot be read"));
    let mut objects = lake();
    objects[0].bytes = 50;
    assert_eq!(problems(&objects), ["it has 50 bytes; 100 were put"]);
    objects[0] = AuditedObject {
        key: "events/dt=2026-11-25/mine.ndjson".to_owned(),
        bytes: 100,
        declared: None,
        stamp: Err(StampError::Foreign),
        expired: false,
    };
    assert!(problems(&objects)[0].contains("it is foreign"));
}

/// A log that assigned one LSN twice and left out another: its seals agree with each other all the same.
#[test]
fn running_sums_are_those_of_all_lsns() {
    assert_eq!(deep::running_sums(&lake()), []);
    let mut objects = lake();
    for (name, lsns) in [
        ("lsn-hash", &[8, 8][..]),
        ("as-of-lsn-hash", &[1, 2, 3, 4, 5, 6, 7, 8, 8]),
    ] {
        let hash = lsns
            .iter()
            .fold(0_u128, |sum, lsn| sum.wrapping_add(Lsn(*lsn).hash()));
        change(&mut objects[2], name, &format!("{hash:032x}"));
    }
    assert_eq!(problems(&objects), Vec::<String>::new());
    let found = deep::running_sums(&objects);
    assert_eq!(found.len(), 1);
    assert!(found[0].what.contains("the sum of all LSNs"), "{found:?}");
}

#[test]
fn a_marker_must_lead_to_rows() {
    let objects = lake();
    let marker = |key: &str, records, same_as: Option<&str>| Marker {
        key: "m".to_owned(),
        stream: "users".to_owned(),
        run: "r1".to_owned(),
        same_as: same_as.map(str::to_owned),
        objects: vec![markers::Marked {
            key: key.to_owned(),
            records,
        }],
        ..Marker::default()
    };
    let judge = |marker: Marker| {
        let mut problems = Vec::new();
        judge_markers(&[marker], &objects, &mut problems);
        problems
            .into_iter()
            .map(|problem| problem.what)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let key = objects[0].key.clone();
    assert_eq!(judge(marker(&key, 3, None)), "");
    assert!(judge(marker(&key, 4, None)).contains("another number of rows"));
    assert!(judge(marker("x", 3, None)).contains("x is missing"));
    assert!(judge(marker(&key, 3, Some("r0"))).contains("r0 that it names has no marker"));
}

fn listed(object: &AuditedObject) -> crate::retain::notes::ListedObject {
    crate::retain::notes::ListedObject {
        key: object.key.clone(),
        bytes: object.bytes,
        metadata: object.stamp.as_ref().unwrap().to_metadata(),
    }
}

#[test]
fn what_retention_listed_adds_up_there_or_gone() {
    let all = lake();
    let mut retentions = crate::retain::notes::Retentions::default();
    for object in &all[..2] {
        retentions
            .objects
            .insert(object.key.clone(), listed(object));
    }
    for gone in 0..=2 {
        let mut objects = all[gone..].to_vec();
        let mut found = Vec::new();
        judge_retentions(&mut objects, &retentions, &mut found);
        assert_eq!(found, []);
        let (proofs, problems) = judge(&objects, &Waiting::new());
        assert_eq!(problems, []);
        assert_eq!(deep::running_sums(&objects), []);
        assert_eq!(
            (proofs[0].objects, proofs[0].expired),
            (3 - gone as u64, gone as u64)
        );
        assert_eq!(proofs[0].rows + proofs[0].expired_rows, 8);
    }
    // What is not listed is missing as before.
    let mut objects = all[..2].to_vec();
    objects.remove(0);
    retentions.objects.remove(&all[0].key);
    judge_retentions(&mut objects, &retentions, &mut Vec::new());
    assert!(problems(&objects)[0].contains("seal 1 is missing"));
    // And what was changed is named.
    let mut objects = all;
    change(&mut objects[1], "row-hash", "07");
    let mut found = Vec::new();
    judge_retentions(&mut objects, &retentions, &mut found);
    assert_eq!(found.len(), 1);
    assert!(found[0].what.contains("after a retention had listed it"));
}

#[test]
fn a_kept_marker_needs_its_rows_and_not_what_was_refused() {
    let marker = |key: &str| Marker {
        key: "m".to_owned(),
        stream: "users".to_owned(),
        run: "r1".to_owned(),
        same_as: None,
        objects: vec![markers::Marked {
            key: key.to_owned(),
            records: 3,
        }],
        ..Marker::default()
    };
    for (key, expected) in [("users/x", 1), ("quarantine/users/x", 0)] {
        let mut object = object(1, &[1, 2, 3], 3, &[], &[]);
        key.clone_into(&mut object.key);
        object.expired = true;
        let mut found = Vec::new();
        judge_markers(&[marker(key)], &[object], &mut found);
        assert_eq!(found.len(), expected, "{found:?}");
    }
}

#[test]
fn the_lines_of_files_add_up_and_parcels_without_a_marker_are_named() {
    let parcel = |number: u64| {
        let mut parcel = object(number, &[1, 2, 3], 3, &[], &[]);
        parcel.key = format!("claims/run=r/{number}");
        let stamp = parcel.stamp.as_mut();
        if let Ok(stamp) = stamp {
            stamp.parcel_of = Some(Lsn(7));
        }
        parcel
    };
    let marker = |records, lines| Marker {
        key: "m".to_owned(),
        parcels: vec![markers::Marked {
            key: "claims/run=r/1".to_owned(),
            records: 3,
        }],
        records,
        quarantined: 1,
        lines: Some(lines),
        repeats: 2,
        blank: 1,
        ..Marker::default()
    };
    let judge = |marker| {
        let mut problems = Vec::new();
        let (proof, void) = judge_parcels(&[marker], &[parcel(1), parcel(2)], &mut problems);
        (proof.rows, void, problems.len())
    };
    let void = vec!["claims/run=r/2".to_owned()];
    assert_eq!(judge(marker(3, 7)), (3, void.clone(), 0));
    assert_eq!(judge(marker(3, 8)), (3, void.clone(), 1));
    assert_eq!(judge(marker(2, 6)), (2, void, 1));
}
