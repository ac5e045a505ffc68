//! Where a log lives: in a directory alone, or in a replica of which the directory is a copy.
//!
//! A home is opened before the log: the directory is locked, and what stands beside the log is taken over from
//! the replica. The log itself is taken over later, by the pipeline.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::directories;
use super::errors::ServeError;
use super::fenced;
use super::insistence::Insistence;
use super::lakes::lake_of;
use super::process::Process;
use super::settings::LogRole;
use super::takeover::Replica;
use crate::config::{Config, ReplicaUrl};
use crate::files::Disk;
use crate::ids::{HashKey, Ids};
use crate::lake::anchor::{self, Anchor};
use crate::lake::keys::anchor_key;
use crate::lake::{Lake, LakeError, Trouble};
use crate::replica::nats::StreamPlace;
use crate::replica::{LogEngine, NatsAccess, ReplicaAccess, ReplicaPlace};
use crate::side_files::SideFiles;
use crate::status::Status;
use crate::wal::helper::Background;
use crate::wal::journal::mark;
use crate::wal::journal::replica::identity::{self, Meant};
use crate::wal::journal::replica::sides::EngineSides;
use crate::wal::node::{Lock, Node};
use crate::wal::recover::{self, OpenError, ReplicaStart};

/// How often a start begins again because the owner deletes what it is reading.
pub(super) const TAKEOVER_TRIES: u32 = 5;
/// Requests of a start that fail for a moment are tried again this often.
const TRIES: u32 = 6;
/// The same, of a request without which a node can follow the owner of its log.
const TRIES_OF_FOLLOWER: u32 = 1;
const PAUSE: Duration = Duration::from_millis(250);

/// Who opens a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A service, which takes a replicated log from whoever has it.
    Service,
    /// A command, which must not.
    Command,
    /// A node of a cluster, which takes it if that is due.
    Node {
        /// Who it is, for the other nodes.
        owner: String,
        /// Number and checksum of the newest frame that an owner has told it of.
        known: (u64, u32),
        /// The key of the cluster's logs, if it is known.
        key: Option<HashKey>,
        /// Whether it may turn out that another node owns the log.
        may_follow: bool,
    },
}

/// The place of a log.
pub(crate) struct Home {
    /// The log's directory.
    pub(crate) dir: PathBuf,
    /// Its lock.
    pub(crate) lock: Arc<Lock>,
    /// The files beside the log.
    pub(crate) beside: SideFiles,
    /// The status that says whether this log can store rows.
    pub(crate) status: Arc<Status>,
    /// The replica, if the directory is only a copy.
    pub(super) replica: Option<Replica>,
    /// Whether a node of a cluster opens it, which goes on when it has lost the log.
    pub(super) is_of_node: bool,
    /// Whether the log is the one that the lake knows. Otherwise the lake could not be asked: a node may follow the owner of
    /// the log, and has to open a home anew to take it over.
    pub(super) is_known: bool,
}

impl Home {
    /// Makes and locks the directory of a log.
    pub(crate) fn lock(config: &Config, role: LogRole) -> Result<Arc<Lock>, ServeError> {
        let dir = role.section(config).dir;
        directories::make(role.key(), &dir)?;
        Ok(Arc::new(Lock::take(&dir)?))
    }

    /// Looks at the replica of a log, if it has one. The caller holds the lock of its directory.
    pub(crate) async fn open(
        config: &Config,
        (role, lock): (LogRole, Arc<Lock>),
        status: Arc<Status>,
        process: &Process,
        opener: Opener,
    ) -> Result<Self, ServeError> {
        let dir = role.section(config).dir;
        let Some(place) = place_of(config, role) else {
            mark::check(&Disk, &dir, None)?;
            return Ok(Self {
                beside: SideFiles::within(&dir),
                dir,
                lock,
                status,
                replica: None,
                is_of_node: false,
                is_known: true,
            });
        };
        let name = place.name();
        let is_of_node = matches!(opener, Opener::Node { .. });
        let (owner, known, key, may_follow) = match opener {
            Opener::Command => return Err(ServeError::OwnedElsewhere { log: name }),
            Opener::Node {
                owner,
                known,
                key,
                may_follow,
            } => (owner, known, key, may_follow),
            Opener::Service => (process_name(), (0, 0), None, false),
        };
        if !is_of_node && let Some(by) = fenced::by(&dir)?.filter(|_| !config.wal.takes_over) {
            return Err(ServeError::Fenced { log: name, by });
        }
        let access = place.reach(Handle::current()).await;
        let looking = Looking {
            lake: lake_of(config, &dir, Handle::current()).await,
            anchor: format!("{}/{}", config.wal.replica_name, role.folder(config)),
            meant: Meant {
                ordinal: role.ordinal(config),
                key,
            },
            insistence: Insistence::new(Arc::clone(&status), process.clock.clone(), &name),
            interval: config.wal.replica_interval(),
            name,
            dir: dir.clone(),
            ids: process.ids.clone(),
            owner,
            known,
            // In a cluster, whoever is ahead has it.
            tries: if is_of_node { 1 } else { TAKEOVER_TRIES },
            may_follow,
        };
        let looked = tokio::task::spawn_blocking(move || looking.look(&access));
        let (replica, beside, is_known) = looked.await??;
        Ok(Self {
            dir,
            lock,
            beside,
            status,
            replica: Some(replica),
            is_of_node,
            is_known,
        })
    }
}

/// Where one of the logs is kept; `None` if that is its directory.
pub fn place_of(config: &Config, role: LogRole) -> Option<ReplicaPlace> {
    let wal = &config.wal;
    match wal.replica.as_ref()? {
        ReplicaUrl::Bucket { .. } => {
            let mut location = config.replica_location()?;
            location.prefix = format!("{}/{}", location.prefix, role.folder(config));
            Some(ReplicaPlace::Bucket(Box::new(location)))
        }
        ReplicaUrl::Nats(servers) => {
            let (name, folder) = (&wal.replica_name, role.folder(config));
            let cert = wal.nats_cert_file.clone().zip(wal.nats_key_file.clone());
            Some(ReplicaPlace::Stream(StreamPlace {
                access: NatsAccess {
                    servers: servers.clone(),
                    creds_file: wal.nats_creds_file.clone(),
                    ca_file: wal.nats_ca_file.clone(),
                    client_cert: cert,
                },
                stream: format!("lakehook-{name}-{folder}"),
                root: format!("lakehook.{name}.{folder}"),
                needed: with_reserve(role.section(config).max_bytes.bytes()),
            }))
        }
    }
}

/// Bytes that a stream must have room for, so that the log refuses requests before the stream is full: what makes
/// room again, which are seals, commits and checkpoints, is still stored then.
fn with_reserve(max_bytes: u64) -> u64 {
    const LEAST: u64 = 64 << 20;
    max_bytes.saturating_add((max_bytes / 8).max(LEAST))
}

/// What is needed to look at a log in a replica.
pub(super) struct Looking {
    pub(super) lake: Lake<Disk>,
    /// The name by which the lake knows the log.
    pub(super) anchor: String,
    /// Which log it must be.
    pub(super) meant: Meant,
    pub(super) insistence: Arc<Insistence>,
    pub(super) interval: Duration,
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) ids: Ids,
    /// Who this is, for the messages of others.
    pub(super) owner: String,
    /// Number and checksum of the newest frame that is known to have been durable.
    pub(super) known: (u64, u32),
    /// How often a takeover is tried.
    pub(super) tries: u32,
    /// Whether somebody else may own the log, so that it need not be compared with the lake yet.
    pub(super) may_follow: bool,
}

impl Looking {
    /// Probes the replica, finds or founds the log, and takes over what stands beside it; says whether the log is the one
    /// that the lake knows. Blocks.
    fn look(self, access: &ReplicaAccess) -> Result<(Replica, SideFiles, bool), ServeError> {
        let engine = self.engine(access)?;
        let keep_trying = self.insistence.keep_trying();
        let place = (&Disk, self.dir.as_path());
        let is_away = Cell::new(false);
        let mut judge = |node: Option<&Node>| {
            self.compare(node).map_err(|why| {
                is_away.set(node.is_some() && why.is_away());
                self.refused(why)
            })
        };
        let meant = (&self.ids, &self.meant);
        let identified = recover::identify_among(&engine, place, meant, &keep_trying, &mut judge);
        let (node, is_known) = match identified {
            Err(error) if self.may_follow && is_away.get() => {
                tracing::warn!(%error, "this node can follow the owner of the log, and not take it over");
                // The directory learns of the log once the lake has confirmed it.
                (identity::read(&engine, &keep_trying)?.ok_or(error)?, false)
            }
            node => (node?, true),
        };
        let here = SideFiles::within(&self.dir);
        let sides = EngineSides::take_over(engine.clone(), &here, keep_trying.clone())?;
        let sides = Arc::new(sides);
        let replica = Replica {
            engine,
            node,
            sides: Arc::clone(&sides),
            start: ReplicaStart {
                keep_trying,
                background: Background::Threads,
                owner: self.owner,
                interval: self.interval,
                known: self.known,
                over: None,
            },
            insistence: self.insistence,
            tries: self.tries,
        };
        Ok((replica, here.with_copies(sides), is_known))
    }

    /// The engine, which is probed.
    pub(super) fn engine(&self, access: &ReplicaAccess) -> Result<LogEngine, ServeError> {
        let unique = self.ids.next()?;
        let engine = tried(|| access.open(unique));
        engine.map_err(|error| ServeError::Replica {
            log: self.name.clone(),
            error,
        })
    }

    /// Takes the anchor away, of a log that is not in the replica any more.
    pub(super) fn forget(&self) -> Result<(), LakeError> {
        self.lake.remove(&anchor_key(&self.anchor))
    }

    /// Compares the log with what the lake knows of it, on a machine that does not know it yet.
    pub(super) fn judge(&self, node: Option<&Node>) -> Result<(), OpenError> {
        self.compare(node).map_err(|why| self.refused(why))
    }

    fn refused(&self, why: Unconfirmed) -> OpenError {
        let detail = match why {
            Unconfirmed::Wrong(detail) => detail,
            Unconfirmed::Lake(error) => format!(
                "on this machine it is not known yet, so the lake is asked, which cannot be used: {error}"
            ),
        };
        OpenError::Unreadable {
            journal: self.name.clone(),
            detail,
        }
    }

    /// An empty replica is a new log only if the lake knows none, and no other one may take its place.
    fn compare(&self, node: Option<&Node>) -> Result<(), Unconfirmed> {
        let tries = if self.may_follow && node.is_some() {
            TRIES_OF_FOLLOWER
        } else {
            TRIES
        };
        let known = tried_again(tries, || anchor::read(&self.lake, &self.anchor))?;
        let key = anchor_key(&self.anchor);
        let Some(node) = node else {
            return known.map_or(Ok(()), |anchor| {
                Err(Unconfirmed::Wrong(format!(
                    "it has no log, and the lake knows log {} in {} ({key}): is `wal.replica` wrong, or was what \
                     it names emptied? If this is another service, give it another `wal.replica_name`",
                    anchor.log, anchor.place
                )))
            });
        };
        let own = Anchor::new(node.id, &self.name);
        let there = match known {
            Some(anchor) => anchor,
            None => {
                let name = (self.anchor.as_str(), node.id);
                tried_again(tries, || anchor::put(&Disk, &self.lake, name, own.clone()))?
            }
        };
        if there == own {
            return Ok(());
        }
        Err(Unconfirmed::Wrong(format!(
            "it has log {}, and the lake knows log {} in {} ({key}). If this is another service, give it another \
             `wal.replica_name`; if the log was moved, and nothing uses it where it was, delete that object",
            node.id, there.log, there.place
        )))
    }
}

/// Why the lake has not confirmed a log.
enum Unconfirmed {
    /// It knows another one.
    Wrong(String),
    /// It cannot be used.
    Lake(LakeError),
}

impl From<LakeError> for Unconfirmed {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl Unconfirmed {
    /// Whether the lake is away, and will be back.
    fn is_away(&self) -> bool {
        use Trouble::{Network, Server, Throttled, Timeout};
        let Self::Lake(LakeError::Retry { kind, .. }) = self else {
            return false;
        };
        matches!(kind, Network | Server | Throttled | Timeout)
    }
}

/// Tries again what may work in a moment.
fn tried<T>(act: impl FnMut() -> Result<T, LakeError>) -> Result<T, LakeError> {
    tried_again(TRIES, act)
}

fn tried_again<T>(
    tries: u32,
    mut act: impl FnMut() -> Result<T, LakeError>,
) -> Result<T, LakeError> {
    let mut failed = 0;
    loop {
        match act() {
            Err(LakeError::Retry { kind, .. }) if failed < tries && !kind.needs_operator() => {
                failed += 1;
                std::thread::sleep(PAUSE * failed);
            }
            done => return done,
        }
    }
}

/// Who this process is, for the messages of others.
pub(super) fn process_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("process {} on {host}", std::process::id())
}

/// Whether a directory is a copy of a log in a replica.
pub fn is_copy(dir: &Path) -> std::io::Result<bool> {
    Ok(mark::read(&Disk, dir)?.is_some())
}
