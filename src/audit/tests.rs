use super::*;
use crate::wal::facts::LsnSet;

const NODE: NodeId = NodeId(0xab);

/// An object of these LSNs, as of which the log goes to `as_of`, with these open and void.
fn object(seal: u64, lsns: &[u64], as_of: u64, open: &[u64], void: &[u64]) -> Seen {
    let set = |lsns: &[u64]| LsnSet {
        count: lsns.len() as u64,
        hash: lsns
            .iter()
            .fold(0, |sum, lsn| sum.wrapping_add(Lsn(*lsn).hash())),
    };
    let all: Vec<u64> = (1..=as_of).collect();
    let text = |set: LsnSet| format!("{} {:032x}", set.count, set.hash);
    let partition = "events/dt=2026-11-25";
    let pairs = [
        ("node", NODE.to_string()),
        ("seal", seal.to_string()),
        ("partition", partition.to_owned()),
        ("first-lsn", lsns[0].to_string()),
        ("last-lsn", lsns[lsns.len() - 1].to_string()),
        ("count", lsns.len().to_string()),
        ("lsn-hash", format!("{:032x}", set(lsns).hash)),
        ("as-of-lsn", as_of.to_string()),
        ("as-of-lsn-hash", format!("{:032x}", set(&all).hash)),
        ("as-of-open", text(set(open))),
        ("as-of-void", text(set(void))),
        ("as-of-watermark", "2026-11-25T00:00:00.000000Z".to_owned()),
        ("total-received", as_of.to_string()),
        ("total-stored", as_of.to_string()),
        ("total-dropped", "0".to_owned()),
        ("total-duplicate", "0".to_owned()),
        ("total-quarantined", "0".to_owned()),
        ("total-refused", "0".to_owned()),
    ];
    let pairs = pairs.into_iter();
    Seen {
        key: keys::object_key(partition, NODE, Lsn(lsns[0]), "ndjson"),
        bytes: 100,
        declared: Some(100),
        metadata: pairs
            .map(|(name, value)| (format!("lakehook-{name}"), value))
            .collect(),
    }
}

/// Three seals: 1 to 3 with 4 open, 4 to 6 with 7 void and 8 open, 8 to 9.
fn lake() -> Vec<Seen> {
    vec![
        object(1, &[1, 2, 3], 4, &[4], &[]),
        object(2, &[4, 5, 6], 8, &[8], &[7]),
        object(3, &[8, 9], 9, &[], &[7]),
    ]
}

fn problems(objects: &[Seen]) -> Vec<String> {
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
    // What the log still has is not missing.
    let waiting = Waiting::from([(NODE, [1, 2].into())]);
    assert_eq!(judge(&objects, &waiting).1, []);
}

#[test]
fn claims_that_do_not_go_together_are_named() {
    let change = |index: usize, name: &str, value: &str| {
        let mut objects = lake();
        objects[index]
            .metadata
            .insert(format!("lakehook-{name}"), value.to_owned());
        problems(&objects).join("; ")
    };
    assert!(change(1, "lsn-hash", "00").contains("not those that its log had for it"));
    assert!(change(1, "count", "2").contains("1 more are accounted for"));
    assert!(change(2, "as-of-lsn-hash", "00").contains("not those that its log had for it"));
    assert!(change(2, "as-of-lsn", "7").contains("contradict each other"));
    // However far it claims to be, that is told at once.
    let far = u64::MAX.to_string();
    assert!(change(2, "as-of-lsn", &far).contains("more are accounted for"));
    assert!(change(0, "total-dropped", "5").contains("4 were received and 9 accounted for"));
    assert!(change(2, "seal", "2").contains("it has the seal of"));
    assert!(change(1, "first-lsn", "3").contains("another object, whose place is"));
    assert!(change(0, "as-of-open", "one").contains("cannot be read"));
    let mut objects = lake();
    objects[0].bytes = 50;
    assert_eq!(problems(&objects), ["it has 50 bytes; 100 were put"]);
    objects[0] = Seen {
        key: "events/dt=2026-11-25/mine.ndjson".to_owned(),
        ..Seen::default()
    };
    assert!(problems(&objects)[0].contains("it is foreign"));
}

/// A log that gave one LSN twice and left one out: its seals agree with each other.
#[test]
fn running_sums_are_those_of_all_lsns() {
    assert_eq!(deep::running_sums(&lake()), []);
    let mut objects = lake();
    let last = &mut objects[2].metadata;
    for (name, lsns) in [
        ("lakehook-lsn-hash", &[8, 8][..]),
        ("lakehook-as-of-lsn-hash", &[1, 2, 3, 4, 5, 6, 7, 8, 8]),
    ] {
        let hash = lsns
            .iter()
            .fold(0_u128, |sum, lsn| sum.wrapping_add(Lsn(*lsn).hash()));
        last.insert(name.to_owned(), format!("{hash:032x}"));
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
