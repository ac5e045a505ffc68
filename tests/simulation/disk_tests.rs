//! The simulated disk makes the faults that it promises: a fault that never happens proves nothing.

use std::io;
use std::path::Path;

use lakehook::files::{File, Files, read_whole};

use crate::disk::{Crash, Fault, Op, SimDisk};

/// The states of a file after power cuts with many seeds: how often it had its bytes, other bytes, or no
/// name.
fn outcomes(prepare: impl Fn(&SimDisk)) -> (u32, u32, u32) {
    let mut seen = (0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        prepare(&disk);
        disk.restart(Crash::Power);
        match read_whole(&disk, Path::new("/a"), 1 << 20) {
            Ok(bytes) if bytes == [7; 2000] => seen.0 += 1,
            Ok(_) => seen.1 += 1,
            Err(_) => seen.2 += 1,
        }
    }
    seen
}

#[test]
fn what_is_synced_survives_and_what_is_not_may_be_torn_or_gone() {
    let write = |disk: &SimDisk, sync: bool, sync_dir: bool| {
        let file = disk.create_new(Path::new("/a")).unwrap();
        file.write_all_at(&[7; 2000], 0).unwrap();
        if sync {
            file.sync().unwrap();
        }
        if sync_dir {
            disk.sync_dir(Path::new("/")).unwrap();
        }
    };
    assert_eq!(outcomes(|disk| write(disk, true, true)), (200, 0, 0));
    let (whole, torn, gone) = outcomes(|disk| write(disk, false, true));
    assert!(whole > 10 && torn > 10 && gone == 0);
    let (whole, torn, gone) = outcomes(|disk| write(disk, true, false));
    assert!(whole > 10 && torn == 0 && gone > 10);
}

#[test]
fn a_failed_sync_lies_afterwards() {
    let (whole, torn, gone) = outcomes(|disk| {
        let file = disk.create_new(Path::new("/a")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.faults(|faults| {
            faults.planned.push(Fault {
                op: Some(Op::Sync),
                on: "",
                after: 0,
                kind: io::ErrorKind::StorageFull,
                forever: false,
            });
        });
        file.write_all_at(&[7; 2000], 0).unwrap();
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        assert_eq!(
            read_whole(disk, Path::new("/a"), 1 << 20).unwrap(),
            [7; 2000]
        );
    });
    assert!(whole > 10 && torn > 50 && gone == 0);
}

#[test]
fn a_kill_keeps_what_the_kernel_has_and_ends_all_handles() {
    let disk = SimDisk::new(1);
    let file = disk.create_new(Path::new("/a")).unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    disk.faults(|faults| faults.crash_at = Some(3));
    assert!(file.sync().is_err());
    assert!(disk.has_crashed() && disk.open(Path::new("/a")).is_err());
    disk.restart(Crash::Kill);
    assert_eq!(read_whole(&disk, Path::new("/a"), 10).unwrap(), b"bytes");
    assert!(file.sync().is_err());
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let disk = SimDisk::new(1);
    disk.faults(|faults| faults.capacity = Some(1000));
    let file = disk.create_new(Path::new("/a")).unwrap();
    file.write_all_at(&[1; 1000], 0).unwrap();
    file.write_all_at(&[2; 1000], 0).unwrap();
    let error = file.write_all_at(&[3; 1], 1000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
