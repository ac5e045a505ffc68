use std::collections::BTreeMap;
use std::io;

use proptest::prelude::*;

use super::*;
use crate::dedup::id_files::{merge, write};
use lakehook_base::files::Disk;

fn tag(number: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes())
}

fn segment(numbers: std::ops::Range<u64>) -> SegmentIds {
    SegmentIds {
        newest_received: Micros(i64::try_from(numbers.end).unwrap_or(0)),
        identities: numbers
            .map(|number| Identity {
                tag: tag(number),
                content: u32::try_from(number).unwrap_or(0),
            })
            .collect(),
    }
}

#[test]
fn every_id_is_found_and_few_others_are_looked_for() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut older = ArchivedIds::new(Disk, dir.path(), 40_000, 1 << 20);
    for number in 1..=8 {
        let mut ids = segment(number * 5000..number * 5000 + 5000);
        let file = write(&Disk, dir.path(), (number, number), &mut ids)?;
        older.add(file, &ids)?;
    }
    for number in 5000..45_000 {
        let content = u32::try_from(number).ok();
        assert_eq!(older.content_of(tag(number)), content, "{number}");
    }
    let passes = |number: &u64| {
        let groups = older.groups.iter();
        groups
            .filter(|group| group.filter.may_have(tag(*number)))
            .count()
            > 0
    };
    let wrong = (1_000_000..1_050_000).filter(passes).count();
    assert!(wrong < 50_000 / 20, "{wrong} of 50000");
    older.forget_below(5);
    assert_eq!(older.content_of(tag(24_999)), None);
    assert_eq!(older.content_of(tag(25_000)), Some(25_000));
    assert_eq!(older.known_since(), Some(Micros(25_000)));
    Ok(())
}

#[test]
fn merged_files_know_what_their_parts_knew() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut older = ArchivedIds::new(Disk, dir.path(), 8000, 1 << 16);
    let mut files = Vec::new();
    for number in 1..=9 {
        let mut ids = segment(number * 700..number * 700 + 700);
        let file = write(&Disk, dir.path(), (number, number), &mut ids)?;
        older.add(file, &ids)?;
        files.push(file);
    }
    for parts in [&files[0..3], &files[4..7]] {
        let (file, ids) = merge(&Disk, dir.path(), parts)?;
        older.add(file, &ids)?;
    }
    assert_eq!(older.open.len(), 5);
    for number in 700..7000 {
        assert_eq!(older.content_of(tag(number)), u32::try_from(number).ok());
    }
    Ok(())
}

#[test]
fn a_file_that_comes_late_is_known_too() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut older = ArchivedIds::new(Disk, dir.path(), 8000, 1 << 16);
    for number in [1, 3, 4, 2] {
        let mut ids = segment(number * 700..number * 700 + 700);
        let file = write(&Disk, dir.path(), (number, number), &mut ids)?;
        older.add(file, &ids)?;
    }
    for number in 700..3500 {
        assert_eq!(older.content_of(tag(number)), u32::try_from(number).ok());
    }
    Ok(())
}

#[test]
fn filters_grow_with_the_number_of_ids_and_stay_within_their_memory() -> io::Result<()> {
    let bits = |older: &ArchivedIds<Disk>| {
        let words = older.groups.iter().map(|group| group.filter.words.len());
        words.sum::<usize>() * 64
    };
    let dir = tempfile::tempdir()?;
    let bound = 128 << 10;
    let mut older = ArchivedIds::new(Disk, dir.path(), 80_000, bound);
    let mut files = Vec::new();
    for number in 1..=400 {
        let mut ids = segment(number * 500..number * 500 + 500);
        let file = write(&Disk, dir.path(), (number, number), &mut ids)?;
        older.add(file, &ids)?;
        files.push((file, ids));
        // As many are kept as are wanted at least.
        older.forget_below((number + 1).saturating_sub(160));
        assert!(bits(&older) <= usize::try_from(bound * 8).unwrap_or(0));
        if number == 4 {
            assert!(bits(&older) <= 2 * 2500 * 12, "{}", bits(&older));
        }
    }
    assert_eq!(older.content_of(tag(400 * 500)), Some(200_000));
    // What is known to come has few filters from the beginning on.
    let mut again = ArchivedIds::new(Disk, dir.path(), 80_000, bound);
    again.expect(80_000);
    for (file, ids) in &files[240..] {
        again.add(*file, ids)?;
    }
    assert_eq!(again.groups.len(), 4);
    for number in 241 * 500..401 * 500 {
        let content = u32::try_from(number).ok();
        assert_eq!(older.content_of(tag(number)), content, "{number}");
        assert_eq!(again.content_of(tag(number)), content, "{number}");
    }
    Ok(())
}

proptest! {
    /// Tags are few, so that the same one is in many places and at the ends of strides.
    #[test]
    fn the_file_is_looked_into_at_the_right_place(
        tags in prop::collection::vec(0_u64..300, 1..600),
    ) {
        let dir = tempfile::tempdir().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let unique: BTreeMap<u64, u32> = tags.iter().map(|tag| (*tag, 3)).collect();
        let mut ids = SegmentIds {
            newest_received: Micros(0),
            identities: unique.keys().map(|tag| Identity { tag: *tag, content: 3 }).collect(),
        };
        let mut older = ArchivedIds::new(Disk, dir.path(), 100, 1 << 10);
        let added = write(&Disk, dir.path(), (1, 1), &mut ids)
            .and_then(|file| older.add(file, &ids));
        prop_assert!(added.is_ok());
        for tag in 0..300 {
            prop_assert_eq!(older.content_of(tag), unique.get(&tag).copied());
        }
    }
}
