//! The schedule of faults, which follows from the seed. Pure.

use std::time::Duration;

use crate::encode::Format;
use crate::upstream::chance::Chance;

/// A life of the server, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The format of its objects; it may change with each start.
    pub format: Format,
    /// Whether it becomes ready first; otherwise it may end while it still reads its log.
    pub awaits_ready: bool,
    /// How long it runs after that.
    pub runs_for: Duration,
    /// For how long it is then paused (SIGSTOP), if it is.
    pub pause: Option<Duration>,
    /// How it ends.
    pub end: End,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is killed (SIGKILL).
    Kill,
    /// It is asked to stop (SIGTERM), and must end with exit code 0.
    Stop,
}

/// An outage of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How long the lake is available before.
    pub after: Duration,
    /// What replaces the lake meanwhile.
    pub instead: Instead,
    /// Whether large events are sent until the log is full.
    pub fills_the_log: bool,
    /// How long it lasts; counted from when the log is full, if it is to fill up.
    pub lasts: Duration,
}

/// What replaces the lake during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// A file.
    File,
    /// Nothing, as when a volume is not mounted.
    Nothing,
}

/// A fault of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What happens.
    pub kind: LossKind,
    /// How long everything is well before.
    pub after: Duration,
    /// The number of the node that is killed, if any node may be.
    pub node: u64,
    /// Whether a node that is killed is started again before another one can take the log over.
    pub at_once: bool,
    /// How much longer the node is away, once another one owns the log.
    pub lasts: Duration,
    /// The format of the node's objects when it is back.
    pub format: Format,
    /// Whether the nodes become ready before the next fault.
    pub settles: bool,
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Any node is killed (SIGKILL).
    Kill,
    /// The owner of the log is killed, and its directory is deleted.
    Machine,
    /// The owner is paused (SIGSTOP) until another node owns the log, and goes on later (SIGCONT).
    Pause,
    /// The owner is asked to stop (SIGTERM), and must end with exit code 0.
    Stop,
}

impl LossKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Machine, Self::Pause, Self::Stop, Self::Kill];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "a node was killed",
            Self::Machine => "the owner was killed, and its directory deleted",
            Self::Pause => "the owner was paused",
            Self::Stop => "the owner was asked to stop",
        }
    }
}

/// How long a life runs after its start, or after it is ready.
const RUNS_FOR: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_millis(1200);
/// Some pauses are longer than a sender waits for its answer.
const PAUSE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_millis(2500);
const WELL: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_millis(3000);
const LASTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(300)..=Duration::from_millis(2500);

/// The schedule of a seed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    seed: u64,
}

impl Plan {
    /// The schedule of that seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn chance(self, number: u64, salt: u64) -> Chance {
        let mixed = number.wrapping_mul(0xd1b5_4a32_d192_ed03).rotate_left(23);
        Chance::from_seed(self.seed ^ mixed ^ salt)
    }

    /// The life of that number.
    pub fn life(self, number: u64) -> Life {
        let chance = self.chance(number, 11);
        let parquet = self.chance(number, 13).hits(0.25);
        Life {
            format: if parquet {
                Format::Parquet
            } else {
                Format::NdjsonZst
            },
            awaits_ready: chance.hits(0.85),
            runs_for: chance.duration_within(&RUNS_FOR),
            pause: chance.hits(0.25).then(|| chance.duration_within(&PAUSE)),
            end: if chance.hits(0.15) {
                End::Stop
            } else {
                End::Kill
            },
        }
    }

    /// The outage of that number. Every other one fills the log, beginning with the first.
    pub fn outage(self, number: u64) -> Outage {
        let chance = self.chance(number, 12);
        Outage {
            after: chance.duration_within(&WELL),
            instead: chance.pick(&[Instead::File, Instead::Nothing]),
            fills_the_log: number.is_multiple_of(2),
            lasts: chance.duration_within(&LASTS),
        }
    }

    /// The fault of a cluster of that number. Each kind comes every fourth time.
    pub fn loss(self, number: u64) -> Loss {
        let chance = self.chance(number, 14);
        let kinds = LossKind::ALL;
        let kind = number.wrapping_add(self.seed) % kinds.len() as u64;
        Loss {
            kind: kinds[kind as usize],
            after: chance.duration_within(&RUNS_FOR),
            node: u64::from(chance.below(u32::MAX)),
            at_once: chance.hits(0.5),
            lasts: chance.duration_within(&LASTS),
            format: self.life(number).format,
            settles: chance.hits(0.8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_its_schedule_and_others_have_others() {
        let schedule = |seed| -> Vec<_> {
            let plan = Plan::new(seed);
            (0..50)
                .map(|n| (plan.life(n), plan.outage(n), plan.loss(n)))
                .collect()
        };
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
    }

    #[test]
    fn everything_that_can_happen_happens_soon() {
        for seed in 0..20 {
            let plan = Plan::new(seed);
            let lives: Vec<Life> = (0..60).map(|n| plan.life(n)).collect();
            let kills = lives.iter().filter(|life| life.end == End::Kill).count();
            assert!(kills > 35 && kills < 60, "{kills} kills of seed {seed}");
            assert!(lives.iter().any(|life| life.pause.is_some()));
            assert!(lives.iter().any(|life| !life.awaits_ready));
            assert!(lives.iter().any(|life| life.format == Format::Parquet));
            assert!(lives.iter().all(|life| RUNS_FOR.contains(&life.runs_for)));
            assert!(plan.outage(0).fills_the_log && !plan.outage(1).fills_the_log);
            let outages: Vec<Outage> = (0..20).map(|n| plan.outage(n)).collect();
            assert!(outages.iter().any(|outage| outage.instead == Instead::File));
            assert!(
                outages
                    .iter()
                    .any(|outage| outage.instead == Instead::Nothing)
            );
            let losses: Vec<Loss> = (0..20).map(|n| plan.loss(n)).collect();
            for kind in LossKind::ALL {
                assert!(losses[..4].iter().any(|loss| loss.kind == kind));
            }
            for node in 0..3 {
                assert!(losses.iter().any(|loss| loss.node % 3 == node));
            }
            assert!(losses.iter().any(|loss| loss.at_once));
            assert!(losses.iter().any(|loss| !loss.settles));
        }
    }
}
