//! What keeps others away while rows or objects are removed: the turn of this node's log, and the lease of the lake.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

use super::patience::patiently;
use crate::cli::logs::looks;
use crate::clock::{Clock, Micros};
use crate::config::Config;
use crate::erase::landing;
use crate::files::{Disk, create_dir_durably};
use crate::ids::{Ids, NodeId};
use crate::lake::Lake;
use crate::lake::keys::INTERNAL;
use crate::lake::lease::{LeaseAnswer, LeaseHolder};
use crate::lake::reader::LakeReader;
use crate::replay::talk::{ErasureAsks, ErasureClient};
use crate::serve::events::OpenEvents;
use crate::serve::{LogRole, Patience, ServeError};
use crate::wal::node::{Lock, LockError};

/// How long a lease lasts without being renewed, …
const LEASE_MICROS: i64 = 600 * 1_000_000;
/// … and when it is renewed.
const RENEW_AFTER: Duration = Duration::from_mins(1);

/// While one is held, no replay of this node runs.
pub(in crate::cli) enum Turn {
    /// A service has the log, and keeps replays away as long as we are connected.
    Service(ErasureClient),
    /// We have the log; nothing else can open it.
    Here { _lock: Lock },
    /// There is no log on this machine.
    Nobody,
}

impl Turn {
    pub(in crate::cli) async fn take(config: &Config, has_log: bool) -> anyhow::Result<Self> {
        if !has_log {
            return Ok(Self::Nobody);
        }
        // A start moves on to a new segment, and removes those of which everything is in the lake. The first one
        // ships what is left, the second one removes the file that it lay in.
        for _ in 0..2 {
            match OpenEvents::open(config, Clock::system(), Ids::System).await {
                Ok(events) => {
                    let grace = config.server.shutdown_grace.duration();
                    events
                        .close(&Patience::new(grace, CancellationToken::new()))
                        .await;
                    let log = landing::look(&looks(config, &[LogRole::Events]))?;
                    if log.iter().all(|log| log.rows_in_files == 0) {
                        break;
                    }
                }
                Err(ServeError::Lock(held @ LockError::Held { .. })) => {
                    let mut client = ErasureClient::connect(&config.wal.dir).with_context(|| {
                        format!("{held}; it is no service that can be asked, or is still starting. Try again when it \
                                 is ready or gone")
                    })?;
                    // Before anything is begun: a node that follows the owner of the log says who that is.
                    client.ask(ErasureAsks::Hold).await?;
                    return Ok(Self::Service(client));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let lock = Lock::take(&config.wal.dir)?;
        Ok(Self::Here { _lock: lock })
    }

    /// Has every open batch sealed.
    pub(in crate::cli) async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Service(client) => client.ask(ErasureAsks::Flush).await,
            Self::Here { .. } | Self::Nobody => Ok(()),
        }
    }

    /// Whether anything ships what is sealed.
    pub(in crate::cli) fn may_land(&self) -> bool {
        matches!(self, Self::Service(_))
    }

    /// Fails if the turn is lost.
    pub(in crate::cli) async fn hold(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Service(client) => client
                .ask(ErasureAsks::Hold)
                .await
                .context("the service is gone; run the command again to go on"),
            Self::Here { .. } | Self::Nobody => Ok(()),
        }
    }
}

/// Keeps other erasures and retentions of the lake away.
pub(in crate::cli) enum Lease {
    /// A lock on a file of a directory lake; it goes with this process.
    File { _lock: Lock },
    /// An object of a store.
    Object {
        holder: LeaseHolder,
        node: NodeId,
        renewed: Duration,
    },
}

impl Lease {
    pub(in crate::cli) async fn take(
        lake: &Lake<Disk>,
        place: &LakeReader,
        node: Option<NodeId>,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        if let LakeReader::Directory(root) = place {
            let dir = root.join(INTERNAL);
            create_dir_durably(&Disk, &dir, false)?;
            let lock = Lock::take(&dir)
                .context("another erasure or retention of this lake is under way")?;
            return Ok(Self::File { _lock: lock });
        }
        let run = format!("{:016x}", Ids::System.next()?);
        let mut lease = Self::Object {
            holder: LeaseHolder {
                // A run without a log excludes nobody, so it shares its name with nobody.
                node: node.map_or_else(|| run.clone(), |node| node.to_string()),
                run,
                until: 0,
            },
            node: node.unwrap_or(NodeId(0)),
            renewed: Duration::ZERO,
        };
        lease.ask(lake, clock).await?;
        Ok(lease)
    }

    pub(in crate::cli) async fn renew(
        &mut self,
        lake: &Lake<Disk>,
        clock: &Clock,
    ) -> anyhow::Result<()> {
        match self {
            Self::Object { renewed, .. }
                if clock.now().mono.saturating_sub(*renewed) >= RENEW_AFTER =>
            {
                self.ask(lake, clock).await
            }
            _ => Ok(()),
        }
    }

    async fn ask(&mut self, lake: &Lake<Disk>, clock: &Clock) -> anyhow::Result<()> {
        let (
            Self::Object {
                holder,
                node,
                renewed,
            },
            Lake::Store(store),
        ) = (self, lake)
        else {
            return Ok(());
        };
        let now = clock.now();
        holder.until = now.wall.0.saturating_add(LEASE_MICROS);
        match patiently(|| store.lease(holder, *node, now.wall)).await? {
            LeaseAnswer::Held => {
                *renewed = now.mono;
                Ok(())
            }
            LeaseAnswer::HeldBy(other) => Err(anyhow!(
                "another erasure or retention of this lake is under way, of node {}; its lease ends at {} if it has died",
                other.node,
                Micros(other.until)
            )),
        }
    }

    /// The next run need not wait.
    pub(in crate::cli) async fn give_back(&mut self, lake: &Lake<Disk>, clock: &Clock) {
        if let (Self::Object { holder, node, .. }, Lake::Store(store)) = (self, lake) {
            holder.until = 0;
            let now = clock.now().wall;
            let given = patiently(|| store.lease(holder, *node, now)).await;
            if let Err(error) = given {
                tracing::warn!(%error, "failed to give the lease back; it expires by itself");
            }
        }
    }
}
