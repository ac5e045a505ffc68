//! The bench's options, and what a quick and a full run are.

use anyhow::{Result, bail};

use super::children::Lake;
use super::roles::Role;

const USAGE: &str = "\
cargo bench --bench throughput [-- OPTIONS]
  --quick                two rows with small counts, in under a minute; writes no page
  --only W1|W100|groups|scaling|slow-disk|stored|engines|cluster
                         only that work, the group commit, the cost by sizes and partitions, a disk
                         with slow syncs, what rows take, the log on a disk, in a bucket and in
                         NATS, or three nodes beside one; writes no page
  --format NAME          of a quick run: ndjson.zst, ndjson.gz or parquet
  --bucket               of a quick run: into a bucket
  --scale N              N times as many requests; writes no page";

/// The formats that rows are measured with.
const FORMATS: [&str; 3] = ["ndjson.zst", "ndjson.gz", "parquet"];

/// The options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// What this process is, if it is not the bench itself.
    pub(crate) role: Option<Role>,
    /// Whether to measure at all: not when a test runner only looks for tests.
    pub(crate) is_bench: bool,
    is_quick: bool,
    only: Option<Only>,
    format: Option<&'static str>,
    into_bucket: bool,
    scale: Option<usize>,
}

/// The one thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    /// With so many events a request.
    Work(u32),
    /// The group commit.
    Groups,
    /// The cost of an event by sizes and partitions.
    Scaling,
    /// A disk whose syncs take long.
    SlowDisk,
    /// What rows take in the log and in the lake.
    Stored,
    /// Where the log is kept.
    Engines,
    /// Nodes that share a log.
    Cluster,
}

impl Arguments {
    /// Parses them; `--help` is an error that says how.
    ///
    /// Without the `--bench` that `cargo bench` adds, a test runner asks, with words of its own.
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let mut arguments = Self::default();
        let is_ours = |word: &String| word == "--bench" || word == "--role";
        if !words.iter().any(is_ours) {
            return Ok(arguments);
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => arguments.is_bench = true,
                "--quick" => arguments.is_quick = true,
                "--only" => {
                    arguments.only = match words.next().map(String::as_str) {
                        Some("W1") => Some(Only::Work(1)),
                        Some("W100") => Some(Only::Work(100)),
                        Some("groups") => Some(Only::Groups),
                        Some("scaling") => Some(Only::Scaling),
                        Some("slow-disk") => Some(Only::SlowDisk),
                        Some("stored") => Some(Only::Stored),
                        Some("engines") => Some(Only::Engines),
                        Some("cluster") => Some(Only::Cluster),
                        _ => bail!("{USAGE}"),
                    }
                }
                "--format" => {
                    let named = words.next();
                    let known = FORMATS
                        .into_iter()
                        .find(|own| named.is_some_and(|name| name == own));
                    if known.is_none() {
                        bail!("{USAGE}");
                    }
                    arguments.format = known;
                }
                "--bucket" => arguments.into_bucket = true,
                "--scale" => match words.next().and_then(|number| number.parse().ok()) {
                    Some(scale) => arguments.scale = Some(scale),
                    None => bail!("{USAGE}"),
                },
                "--role" => arguments.role = words.next().and_then(|name| Role::of_name(name)),
                _ => bail!("{USAGE}"),
            }
        }
        Ok(arguments)
    }

    /// Whether everything is measured, so that the page may be replaced.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_quick && self.only.is_none() && self.scale.is_none()
    }

    /// Whether the group commit is measured.
    pub(crate) fn wants_groups(&self) -> bool {
        self.is_complete() || self.only == Some(Only::Groups)
    }

    /// Whether the cost of an event is measured by sizes and partitions.
    pub(crate) fn wants_scaling(&self) -> bool {
        self.is_complete() || self.only == Some(Only::Scaling)
    }

    /// Whether a disk with slow syncs is tried.
    pub(crate) fn wants_slow_disk(&self) -> bool {
        self.is_complete() || self.only == Some(Only::SlowDisk)
    }

    /// Whether it is measured what rows take.
    pub(crate) fn wants_stored(&self) -> bool {
        self.is_complete() || self.only == Some(Only::Stored)
    }

    /// Whether logs in different places are compared, and with how many times the requests.
    pub(crate) fn wants_engines(&self) -> Option<usize> {
        let scale = self.scale.unwrap_or(1) * if self.is_quick { 1 } else { 10 };
        (self.only == Some(Only::Engines)).then_some(scale)
    }

    /// Whether a cluster is compared with a single node, and with how many times the requests.
    pub(crate) fn wants_cluster(&self) -> Option<usize> {
        let scale = self.scale.unwrap_or(1) * if self.is_quick { 1 } else { 10 };
        (self.only == Some(Only::Cluster)).then_some(scale)
    }

    /// Whether that work is measured.
    pub(crate) fn wants(&self, events_per_request: u32) -> bool {
        self.only
            .is_none_or(|only| only == Only::Work(events_per_request))
    }

    /// Requests of one row.
    pub(crate) fn requests(&self, events_per_request: u32) -> usize {
        let requests = match (events_per_request, self.is_quick) {
            (1, true) => 30_000,
            (1, false) => 100_000,
            (_, true) => 4_000,
            (_, false) => 24_000,
        };
        requests * self.scale.unwrap_or(1)
    }

    /// How often each row is measured; the median is shown.
    pub(crate) fn runs(&self) -> usize {
        if self.is_quick { 1 } else { 3 }
    }

    /// Connections of each row.
    pub(crate) fn connections(&self) -> Vec<usize> {
        if self.is_quick {
            vec![256]
        } else {
            vec![32, 256]
        }
    }

    /// Lakes and formats of each row.
    pub(crate) fn lakes(&self, events_per_request: u32) -> Vec<(Lake, &'static str)> {
        if self.is_quick {
            let lake = if self.into_bucket {
                Lake::Bucket
            } else {
                Lake::Directory
            };
            return vec![(lake, self.format.unwrap_or(FORMATS[0]))];
        }
        let mut lakes = vec![
            (Lake::Directory, "ndjson.zst"),
            (Lake::Directory, "ndjson.gz"),
            (Lake::Bucket, "ndjson.zst"),
        ];
        if events_per_request > 1 {
            lakes.push((Lake::Directory, "parquet"));
        }
        lakes
    }
}
