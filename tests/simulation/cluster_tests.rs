//! Random clusters: several logs, each with its owners, and requests that are split among them.

use crate::cluster::{Cluster, Counts};
use crate::seeds::all_seeds;
use crate::shape::Planted;

fn run(seed: u64) -> (u64, Counts) {
    let mut cluster = Cluster::new(seed, Planted::Nothing);
    let lived = cluster.live();
    let trace = lived.unwrap_or_else(|violation| panic!("seed {seed}, several logs: {violation}"));
    (trace, cluster.counts)
}

#[test]
#[allow(clippy::print_stdout, reason = "a proof states its count")]
fn seeds_with_several_logs() {
    let mut sum = Counts::default();
    for seed in 0..all_seeds().div_ceil(40) {
        let (_, counts) = run(seed);
        sum.split += counts.split;
        sum.forwarded += counts.forwarded;
        sum.unanswered += counts.unanswered;
        sum.acknowledged += counts.acknowledged;
        sum.takeovers += counts.takeovers;
        sum.fenced += counts.fenced;
    }
    println!("{sum:?}");
    let all = [
        sum.split,
        sum.forwarded,
        sum.unanswered,
        sum.acknowledged,
        sum.takeovers,
        sum.fenced,
    ];
    assert!(!all.contains(&0), "nothing was interleaved: {sum:?}");
}

#[test]
fn a_seed_of_several_logs_replays_exactly() {
    for seed in [3, 500_000_017] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(3), run(4));
}
