//! What can be known of the process helpers without a service: addresses and readings of `/proc`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::process::{Setup, cpu_time, free_address, peak_rss_bytes};

#[test]
fn addresses_are_not_given_twice() {
    let addresses: HashSet<_> = (0..50).map(|_| free_address()).collect();
    assert_eq!(addresses.len(), 50);
    assert!(
        addresses
            .iter()
            .all(|address| (10_000..32_000).contains(&address.port()))
    );
}

#[test]
fn memory_and_processor_time_are_read() {
    let id = std::process::id();
    let (start, before) = (Instant::now(), cpu_time(id));
    let mut memory = vec![1_u8; 64 << 20];
    while cpu_time(id) < before + Duration::from_millis(50) {
        memory
            .iter_mut()
            .step_by(4096)
            .for_each(|byte| *byte = byte.wrapping_add(1));
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "work takes processor time"
        );
    }
    assert!(peak_rss_bytes(id) > 64 << 20);
}

#[test]
fn the_program_runs_in_its_own_directory() {
    let setup = Setup::new("[wal]\nmax_bytes = \"1 GiB\"\n").env("LAKEHOOK_BATCH__MAX_AGE", "1s");
    let command = setup.command(&["check"]);
    assert_eq!(command.get_current_dir(), Some(setup.directory()));
    let mut env = command.get_envs();
    let (_, listen) = env
        .find(|(name, _)| *name == "LAKEHOOK_SERVER__LISTEN")
        .unwrap();
    assert_eq!(listen.unwrap(), setup.address().to_string().as_str());
}
