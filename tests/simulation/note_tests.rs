//! Notes under one key: whatever is left of a note whose put was cut short, the next note gets the name, and the
//! sidecar describes the note that has it.

use std::path::Path;

use lakehook::ids::NodeId;
use lakehook::lake::LakeError;
use lakehook::lake::notes::leave;
use lakehook::lake::stamp::TextStamp;

use crate::disk::Crash;
use crate::shape::Shape;
use crate::world::{LAKE, World};

const KEY: &str = "_lakehook/columns/things/00000001.json";

/// What nodes want to say, one after the other: the lengths are the same, or not.
const TEXTS: [(NodeId, &[u8]); 4] = [
    (NodeId(1), b"{\"columns\":1}"),
    (NodeId(2), b"{\"columns\":2}"),
    (NodeId(1), b"{\"columns\":[1,2]}"),
    (NodeId(3), b"{}"),
];

fn put(world: &World, text: usize) -> Result<(), LakeError> {
    let (node, text) = TEXTS[text];
    leave(&world.disk, &world.lake(), KEY.to_owned(), node, text)
}

/// The text that has the name, which the sidecar must describe.
fn described(world: &World) -> Option<usize> {
    let lake = world.lake();
    let there = lake.read_small(KEY).unwrap()?;
    let text = TEXTS.iter().position(|(_, text)| *text == there).unwrap();
    let metadata = TextStamp::of_note(TEXTS[text].0, TEXTS[text].1).to_metadata();
    let says = |name: &str| metadata[name].as_str();
    let found = lake
        .find(KEY, says("lakehook-nonce"), says("lakehook-row-hash"))
        .unwrap();
    assert_eq!(found.unwrap().bytes, there.len() as u64);
    Some(text)
}

/// Puts a text and crashes after a number of operations. Whether it got so far.
fn cut(world: &World, text: usize, steps: u64, crash: Crash) -> bool {
    let at = world.disk.ops() + steps;
    world.disk.faults(|faults| faults.crash_at = Some(at));
    let _cut = put(world, text);
    world.disk.faults(|faults| faults.crash_at = None);
    let crashed = world.disk.has_crashed();
    if crashed {
        world.disk.restart(crash);
    }
    crashed
}

#[test]
fn a_note_that_was_cut_anywhere_hinders_no_other_one() {
    let mut cuts = 0;
    for crash in [Crash::Kill, Crash::Power] {
        for (first, second) in (1..30).flat_map(|first| (1..30).map(move |second| (first, second)))
        {
            let world = World::new(first * 30 + second, Shape::small(true));
            let mut was_cut = cut(&world, 0, first, crash);
            was_cut &= cut(&world, 1, second, crash);
            for text in [2, 3] {
                let already = described(&world);
                match put(&world, text) {
                    Ok(()) => assert_eq!(described(&world), Some(text)),
                    Err(LakeError::Foreign { .. }) => {
                        assert!(already.is_some(), "{first} {second}");
                    }
                    Err(error) => panic!("{first} {second}: {error:?}"),
                }
            }
            cuts += u64::from(was_cut);
        }
    }
    assert!(cuts > 200, "{cuts}");
}

fn sidecar() -> std::path::PathBuf {
    Path::new(LAKE).join(format!("_lakehook/meta/{KEY}.json"))
}

/// Whoever wrote the sidecar last: the one whose text has the name is told that it is there, and nobody else.
#[test]
fn only_the_text_that_has_the_name_is_believed_to_be_there() {
    for (mine, other) in [(0, 1), (1, 0), (2, 3), (0, 3)] {
        let world = World::new(1, Shape::small(true));
        put(&world, mine).unwrap();
        let of_mine = world.disk.tree(&sidecar())[&sidecar()].clone();
        let world = World::new(1, Shape::small(true));
        put(&world, other).unwrap();
        // The sidecar says that it is ours, though the other one has the name.
        world.disk.plant(&sidecar(), &of_mine);
        let answer = put(&world, mine);
        assert!(
            matches!(answer, Err(LakeError::Foreign { .. })),
            "{answer:?}"
        );
        let there = world.lake().read_small(KEY).unwrap().unwrap();
        assert_eq!(there, TEXTS[other].1);
    }
}

/// What a write of a sidecar that was cut short has left hinders nobody.
#[test]
fn half_a_sidecar_without_a_note_counts_as_none() {
    for left in ["", "{\"bytes\":1"] {
        let world = World::new(1, Shape::small(true));
        world.disk.plant(&sidecar(), left.as_bytes());
        put(&world, 0).unwrap();
        assert_eq!(described(&world), Some(0));
    }
}

/// A node that was only slow links its note after all, whatever was added to its sidecar meanwhile.
#[test]
fn a_slow_node_may_still_have_the_name() {
    for slow in 1..30 {
        let world = World::new(slow, Shape::small(true));
        cut(&world, 0, slow, Crash::Kill);
        cut(&world, 1, slow, Crash::Kill);
        match put(&world, 0) {
            Ok(()) => assert_eq!(described(&world), Some(0)),
            Err(LakeError::Foreign { .. }) => assert_eq!(described(&world), Some(1)),
            Err(error) => panic!("{slow}: {error:?}"),
        }
    }
}
