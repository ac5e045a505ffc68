//! Once a second: lets the status follow the clock, checks the free space, and aggregates histograms.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Config, LakeUrl, Wal};
use crate::files::{Disk, Files as _};
use crate::receive::App;
use crate::status::Status;

/// Follows the clock, checks the free space, and aggregates the histograms so that they do not grow.
pub(super) struct Ticker {
    pub(super) config: Config,
    pub(super) app: Arc<App>,
    /// The status of the feeds' log, if there are feeds.
    pub(super) feeds: Option<Arc<Status>>,
}

impl Ticker {
    /// Runs until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut said = Said::default();
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = stop.cancelled() => return,
            }
            self.observe_clock();
            self.look_at_space(&mut said);
            self.app.metrics.fold();
        }
    }

    fn look_at_space(&self, said: &mut Said) {
        let shortage = shortage(&self.config, &self.config.wal);
        said.about(shortage.as_ref(), self.app.clock.now().mono);
        self.app.status.set_low_space(shortage.is_some());
        if let Some(feeds) = &self.feeds {
            feeds.set_low_space(is_low_on_space(&self.config, &self.config.feeds_log()));
        }
    }

    /// Lets every status follow the clock, even while no requests come and no feed runs.
    fn observe_clock(&self) {
        let now = self.app.clock.now();
        self.app.status.observe(now);
        if let Some(feeds) = &self.feeds {
            feeds.observe(now);
        }
    }
}

/// A disk that has too little space.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shortage {
    /// The directory that is on it.
    dir: PathBuf,
    /// Free bytes.
    free: u64,
    /// Bytes that there must be.
    needed: u64,
}

/// When the operator was last told of a shortage.
#[derive(Debug, Default)]
struct Said {
    at: Option<Duration>,
}

/// A shortage that lasts is repeated after this time.
const REPEATED_AFTER: Duration = Duration::from_mins(1);

impl Said {
    /// Logs a shortage when it begins, once a minute while it lasts, and when it has ended.
    fn about(&mut self, shortage: Option<&Shortage>, now: Duration) {
        match (shortage, self.at) {
            (Some(shortage), at)
                if at.is_none_or(|at| now.saturating_sub(at) >= REPEATED_AFTER) =>
            {
                self.at = Some(now);
                tracing::warn!(
                    dir = %shortage.dir.display(),
                    free_bytes = shortage.free,
                    needed_bytes = shortage.needed,
                    "too little free space on the disk of this directory; requests are refused until \
                     there is more"
                );
            }
            (None, Some(_)) => {
                self.at = None;
                tracing::warn!("there is enough free space again; requests are accepted");
            }
            _ => {}
        }
    }
}

/// Whether the free space is less than two segments of a log and two objects need. Then there would be no
/// room for what must still be written.
pub(super) fn is_low_on_space(config: &Config, log: &Wal) -> bool {
    shortage(config, log).is_some()
}

/// The first disk with less space than that.
fn shortage(config: &Config, log: &Wal) -> Option<Shortage> {
    let copies = config.batch.format.layout().spooled_copies();
    let objects = 2 * copies * config.batch.max_bytes.bytes();
    // A node may own all logs of its cluster.
    let logs = u64::from(config.cluster.logs);
    let needed = logs * (2 * log.segment_size().bytes() + objects);
    let lake = match &config.lake.url {
        LakeUrl::Directory(root) => Some((root.as_path(), objects)),
        LakeUrl::S3 { .. } => None,
    };
    let mut places = lake.into_iter().chain([(log.dir.as_path(), needed)]);
    places.find_map(|(dir, needed)| {
        let free = Disk.free_bytes(dir).ok()?;
        (free < needed).then(|| Shortage {
            dir: dir.to_owned(),
            free,
            needed,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_and_then_each_minute() {
        let shortage = Shortage {
            dir: PathBuf::from("/wal"),
            free: 1,
            needed: 2,
        };
        let mut said = Said::default();
        let at = Duration::from_secs;
        let mut told = Vec::new();
        for (second, there) in [
            (1, true),
            (2, true),
            (60, true),
            (61, true),
            (62, false),
            (63, true),
        ] {
            let before = said.at;
            said.about(there.then_some(&shortage), at(second));
            if said.at != before {
                told.push(second);
            }
        }
        assert_eq!(told, [1, 61, 62, 63]);
    }
}
