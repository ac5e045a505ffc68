//! `lakehook erase`: rows with one value in one field leave the lake, and the audit goes on adding up.
//!
//! Decision 14 has the protocol. The command can be killed at any point; a second run goes on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Handle;

use super::patience::{PAUSE, patiently};
use super::report::{ErasureReport, Left, print, take};
use super::turn::{Lease, Turn};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::logs::{configs, erasure_key, looks};
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::erase::condition::RowCondition;
use crate::erase::eraser::Eraser;
use crate::erase::landing;
use crate::erase::notes::{self, Erasures};
use crate::erase::request::{ErasureDone, ErasureKey, ErasureRequest};
use crate::erase::standing::Standing;
use crate::files::Disk;
use crate::ids::{Ids, NodeId};
use crate::lake::keys::{INTERNAL, holder_of, top_folder};
use crate::lake::reader::{LakeReader, keys_below};
use crate::lake::{Lake, LakeError};
use crate::serve::{LogRole, lake_of};
use crate::telemetry;
use crate::wal::node::read;

/// Rows that are in a log when the command begins may take this long to land.
const LANDING_LIMIT: Duration = Duration::from_mins(2);

/// Arguments of `lakehook erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The stream: `events`, or the name of a poll; its quarantine is included
    #[arg(long, value_name = "NAME")]
    stream: String,
    /// Which rows: a field, or a path such as `properties.email`, and its value
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    condition: RowCondition,
    /// Say what would be erased, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// In a bucket with versioning, delete the old versions of the objects too
    #[arg(long, conflicts_with = "dry_run")]
    versions: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Erases; exit code 1 if anything is left.
pub fn run(loaded: &Loaded, args: &EraseArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let stream = args.stream.as_str();
    if stream.is_empty() || stream.contains('/') || [INTERNAL, "quarantine"].contains(&stream) {
        return Err(Failure::Usage(format!(
            "--stream {stream}: it must be `events` or the name of a poll; its quarantine is always included"
        )));
    }
    let runtime = runtime()?;
    let done = runtime.block_on(erase(config, args));
    runtime.shutdown_background();
    done
}

async fn erase(config: &Config, args: &EraseArgs) -> Result<ExitCode, Failure> {
    let place = LakeReader::open(config.lake.destination()).await;
    let lake = lake_of(config, &config.wal.dir, Handle::current()).await;
    let mut erasure = Erasure {
        config,
        args,
        place: &place,
        lake: &lake,
        clock: Clock::system(),
        report: ErasureReport {
            dry_run: args.dry_run,
            ..ErasureReport::default()
        },
    };
    let done = if args.dry_run {
        erasure.look().await
    } else {
        erasure.carry_out().await
    };
    let report = erasure.report;
    // Whatever went wrong, what was done is told.
    print(&report, args.json)?;
    done?;
    Ok(if report.left.is_empty() || args.dry_run {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

struct Erasure<'a> {
    config: &'a Config,
    args: &'a EraseArgs,
    place: &'a LakeReader,
    lake: &'a Lake<Disk>,
    clock: Clock,
    report: ErasureReport,
}

/// A request that is noted before the first object is exchanged.
struct Begun<'a> {
    lake: &'a Lake<Disk>,
    id: u128,
    by: NodeId,
    request: ErasureRequest,
    is_noted: Cell<bool>,
}

impl Begun<'_> {
    fn note(&self) -> Result<(), LakeError> {
        if !self.is_noted.get() {
            notes::begin(&Disk, self.lake, self.id, self.by, &self.request)?;
            self.is_noted.set(true);
        }
        Ok(())
    }
}

impl Erasure<'_> {
    /// A dry run: asks neither the log's owner nor the store for anything but reads.
    async fn look(&mut self) -> anyhow::Result<()> {
        let landing = landing::look(&self.logs()).context("failed to read the log")?;
        let rows: u64 = landing.iter().map(|log| log.waiting_rows).sum();
        if rows > 0 {
            self.report.notes.push(format!(
                "{rows} rows are still in the log, of all users; without --dry-run they are brought to the lake first"
            ));
        }
        let keys = self.place.keys("").await?;
        let standing = self.standing(&keys, &landing);
        let mut report = std::mem::take(&mut self.report);
        let eraser = self.eraser(0, &standing, &|| Ok(()));
        for key in self.in_scope(&keys) {
            take(&mut report, &key, patiently(|| eraser.object(&key)).await?);
        }
        self.report = report;
        Ok(())
    }

    async fn carry_out(&mut self) -> anyhow::Result<()> {
        patiently(|| self.lake.check_rewritable()).await?;
        let node = read(&Disk, &self.config.wal.dir)?.map(|node| node.id);
        let has_log = node.is_some() || self.config.wal.replica.is_some();
        let mut turn = Turn::take(self.config, has_log).await?;
        let mut lease = Lease::take(self.lake, self.place, node, &self.clock).await?;
        let key = erasure_key(self.config, &Ids::System)?;
        let erasures = Erasures::read(self.place).await?;
        let (open, was_done) = erasures.for_the_same(&self.args.stream, &self.args.condition, &key);
        let landing = self.land(&mut turn).await?;
        let request = match open {
            Some(request) => request.clone(),
            None => self.request(&key, node, &landing)?,
        };
        let begun = Begun {
            lake: self.lake,
            id: u128::from_str_radix(&request.id, 16).context("a note has a wrong id")?,
            by: node.unwrap_or(NodeId(0)),
            request,
            is_noted: Cell::new(open.is_some()),
        };
        let keys = self.place.keys("").await?;
        let scope = self.in_scope(&keys);
        let standing = self.standing(&keys, &landing);
        let mut report = std::mem::take(&mut self.report);
        let rewritten = self
            .rewrite(
                &scope,
                &standing,
                &begun,
                (&mut turn, &mut lease),
                &mut report,
            )
            .await;
        self.report = report;
        rewritten?;
        if !was_done || begun.is_noted.get() {
            self.report.erasure = Some(begun.request.id.clone());
        }
        super::versions::take_care(self.place, &scope, self.args.versions, &mut self.report)
            .await?;
        self.tell_of_logs(&keys)?;
        self.conclude(&begun).await?;
        lease.give_back(self.lake, &self.clock).await;
        Ok(())
    }

    /// Looks into every object, and exchanges those that have rows to erase.
    async fn rewrite(
        &self,
        scope: &[String],
        standing: &Standing,
        begun: &Begun<'_>,
        (turn, lease): (&mut Turn, &mut Lease),
        report: &mut ErasureReport,
    ) -> anyhow::Result<()> {
        let before = || begun.note();
        let eraser = self.eraser(begun.id, standing, &before);
        let progress = bar("objects");
        progress.set_length(scope.len() as u64);
        for key in scope {
            turn.hold().await?;
            lease.renew(self.lake, &self.clock).await?;
            take(report, key, patiently(|| eraser.object(key)).await?);
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(eraser.clear()?)
    }

    /// If nothing is left, that is noted.
    async fn conclude(&self, begun: &Begun<'_>) -> anyhow::Result<()> {
        if !self.report.left.is_empty() || self.report.erasure.is_none() {
            return Ok(());
        }
        let done = ErasureDone {
            request: begun.request.clone(),
            done_at: self.clock.now().wall.to_string(),
            objects: self.report.objects + self.report.objects_before,
            rows: self.report.rows,
        };
        patiently(|| begun.note()).await?;
        patiently(|| notes::finish(&Disk, self.lake, begun.id, begun.by, &done)).await
    }

    /// The logs that may hold rows of the stream.
    fn roles(&self) -> &'static [LogRole] {
        if self.args.stream == "events" {
            &[LogRole::Events]
        } else {
            &[LogRole::Events, LogRole::Feeds]
        }
    }

    fn logs(&self) -> Vec<landing::Look<'static>> {
        looks(self.config, self.roles())
    }

    /// Waits until what the logs hold now is in the lake and committed.
    async fn land(&mut self, turn: &mut Turn) -> anyhow::Result<Vec<landing::LogLanding>> {
        let logs = looks(self.config, self.roles());
        let before = landing::look(&logs).context("failed to read the log")?;
        turn.flush().await?;
        let start = self.clock.now().mono;
        loop {
            let now = landing::look(&logs).context("failed to read the log")?;
            let late: Vec<String> = before
                .iter()
                .zip(&now)
                .filter_map(|(before, now)| now.has_not_landed(before.up_to_lsn))
                .collect();
            let is_over = self.clock.now().mono.saturating_sub(start) > LANDING_LIMIT;
            if late.is_empty() || is_over || !turn.may_land() {
                self.report.left.extend(late.into_iter().map(|why| Left {
                    what: "the log".to_owned(),
                    why,
                }));
                let mut bounds = before;
                for (bound, now) in bounds.iter_mut().zip(now) {
                    bound.seals = now.seals;
                    bound.problem = now.problem;
                }
                return Ok(bounds);
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
    }

    fn request(
        &self,
        key: &ErasureKey,
        node: Option<NodeId>,
        landing: &[landing::LogLanding],
    ) -> anyhow::Result<ErasureRequest> {
        let field = self.args.condition.field();
        let up_to_lsn: BTreeMap<String, u64> = landing
            .iter()
            .filter_map(|log| Some((log.node?.to_string(), log.up_to_lsn)))
            .collect();
        Ok(ErasureRequest {
            id: format!("{:032x}", Ids::System.next_u128()?),
            at: self.clock.now().wall.to_string(),
            stream: self.args.stream.clone(),
            value_hmac: key.sign(&self.args.stream, &field, self.args.condition.value()),
            field,
            key: key.name(),
            node: node.map(|node| node.to_string()),
            up_to_lsn,
        })
    }

    fn standing(&self, keys: &[String], landing: &[landing::LogLanding]) -> Standing {
        landing::standing(keys, landing, self.clock.now().wall)
    }

    fn eraser<'a>(
        &'a self,
        erasure: u128,
        standing: &'a Standing,
        before: &'a dyn Fn() -> Result<(), LakeError>,
    ) -> Eraser<'a, Disk> {
        Eraser {
            files: Disk,
            lake: self.lake,
            erasure,
            condition: &self.args.condition,
            standing,
            dry_run: self.args.dry_run,
            before,
        }
    }

    /// The objects of the stream and of its quarantine.
    fn in_scope(&self, keys: &[String]) -> Vec<String> {
        let stream = self.args.stream.as_str();
        let quarantine = format!("quarantine/{stream}/");
        let is_meant = |key: &&String| {
            holder_of(key).is_some()
                && (top_folder(key) == Some(stream) || key.starts_with(&quarantine))
        };
        keys.iter().filter(is_meant).cloned().collect()
    }

    /// Which logs may still hold rows, and cannot be asked from here.
    fn tell_of_logs(&mut self, keys: &[String]) -> anyhow::Result<()> {
        let logs = landing::look(&self.logs())?;
        let here: Vec<NodeId> = logs.iter().filter_map(|log| log.node).collect();
        let scope = self.in_scope(keys);
        let mut elsewhere: Vec<NodeId> = scope
            .iter()
            .filter_map(|key| Some(holder_of(key)?.0))
            .filter(|node| !here.contains(node))
            .collect();
        elsewhere.sort();
        elsewhere.dedup();
        if !elsewhere.is_empty() {
            let nodes: Vec<String> = elsewhere.iter().map(ToString::to_string).collect();
            self.report.notes.push(format!(
                "rows that other nodes have not shipped yet are not reached: run the command where their logs are ({})",
                nodes.join(", ")
            ));
        }
        let mut aside = Vec::new();
        let logs_here = self
            .roles()
            .iter()
            .flat_map(|role| configs(self.config, *role));
        for (config, role) in logs_here {
            let names = keys_below(&role.section(&config).dir, "")?;
            let is_aside = |name: &String| name.starts_with("torn-") || name.starts_with("before-");
            aside.extend(names.into_iter().filter(is_aside));
        }
        if !aside.is_empty() {
            self.report.notes.push(format!(
                "{} files that earlier crashes and repairs left may hold rows, such as {}: remove them when you do not \
                 need them",
                aside.len(),
                aside[0]
            ));
        }
        let kept: u64 = logs.iter().map(|log| log.rows_in_files).sum();
        if kept > 0 {
            self.report.notes.push(format!(
                "the log's files still hold {kept} rows, most of which are in the lake: a file goes when it is full \
                 and all of it is in the lake, or at the next start"
            ));
        }
        Ok(())
    }
}
