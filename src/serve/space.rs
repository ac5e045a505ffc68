//! Once a second: lets the status follow the clock, checks the free space, and aggregates histograms.

use std::path::Path;
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
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = stop.cancelled() => return,
            }
            self.observe_clock();
            self.look_at_space();
            self.app.metrics.fold();
        }
    }

    fn look_at_space(&self) {
        let low = is_low_on_space(&self.config, &self.config.wal);
        if low {
            tracing::warn!("too little free space on disk; refusing requests");
        }
        self.app.status.set_low_space(low);
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

/// Whether the free space is less than two segments of a log and two objects need. Then there would be no
/// room for what must still be written.
pub(super) fn is_low_on_space(config: &Config, log: &Wal) -> bool {
    let copies = config.batch.format.layout().spooled_copies();
    let objects = 2 * copies * config.batch.max_bytes.bytes();
    let needed = 2 * log.segment_size().bytes() + objects;
    let below = |dir: &Path, need: u64| Disk.free_bytes(dir).is_ok_and(|free| free < need);
    let lake = match &config.lake.url {
        LakeUrl::Directory(root) => below(root, objects),
        LakeUrl::S3 { .. } => false,
    };
    lake || below(&log.dir, needed)
}
