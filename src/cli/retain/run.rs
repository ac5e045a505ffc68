//! `lakehook retain`: whole days and old runs leave the lake, and the audit goes on adding up.
//!
//! Decision 14 has the protocol. The command can be killed at any point; a second run goes on.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::Args;
use tokio::runtime::Handle;

use super::report::RetentionReport;
use super::stock::Stock;
use crate::cli::erase::patience::patiently;
use crate::cli::erase::turn::{Lease, Turn};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::logs::looks;
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded, Span};
use crate::erase::landing;
use crate::files::Disk;
use crate::ids::{Ids, NodeId};
use crate::lake::Lake;
use crate::lake::keys::retention_key;
use crate::lake::reader::LakeReader;
use crate::retain::expire::{Claimed, Expirer, Removed};
use crate::retain::notes::{ListedObject, MAX_LISTED, RetentionNote, leave};
use crate::retain::plan::{Expiring, ExpiringRun, RetentionPlan, RunId, first_kept_day};
use crate::serve::{LogRole, lake_of};
use crate::telemetry;
use crate::wal::node::read;

/// Arguments of `lakehook retain`.
#[derive(Debug, Args)]
pub struct RetainArgs {
    /// Remove days that ended this long ago, such as `400d`; at least `1d`
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Span,
    /// Say what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn age(text: &str) -> Result<Span, String> {
    let age = Span::parse(text).map_err(|error| error.to_string())?;
    if age < Span::days(1) {
        return Err(
            "it must be at least 1d, since days are removed as a whole; write it with a unit, such as \"400d\" (a number \
             alone is seconds)"
                .to_owned(),
        );
    }
    Ok(age)
}

/// Removes what is older; exit code 1 if anything of it is left.
pub fn run(loaded: &Loaded, args: &RetainArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let runtime = runtime()?;
    let done = runtime.block_on(retain(config, args));
    runtime.shutdown_background();
    done
}

async fn retain(config: &Config, args: &RetainArgs) -> Result<ExitCode, Failure> {
    let clock = Clock::system();
    let first_kept = first_kept_day(clock.now().wall, args.older_than.duration())
        .context("the clock of this machine says no date")?;
    let place = LakeReader::open(config.lake.destination()).await;
    let lake = lake_of(config, &config.wal.dir, Handle::current()).await;
    let mut retention = Retention {
        config,
        place: &place,
        lake: &lake,
        node: read(&Disk, &config.wal.dir)?.map(|node| node.id),
        first_kept,
        keeper: None,
        removed: Vec::new(),
        report: RetentionReport {
            dry_run: args.dry_run,
            first_kept_day: first_kept.to_string(),
            ..RetentionReport::default()
        },
        clock,
    };
    let done = retention.carry_out().await;
    let report = retention.report;
    // Whatever went wrong, what was done is told.
    report.print(args.json)?;
    done?;
    Ok(if report.left.is_empty() || args.dry_run {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

struct Retention<'a> {
    config: &'a Config,
    place: &'a LakeReader,
    lake: &'a Lake<Disk>,
    node: Option<NodeId>,
    first_kept: NaiveDate,
    /// `None` in a dry run.
    keeper: Option<Keeper>,
    removed: Vec<String>,
    report: RetentionReport,
    clock: Clock,
}

/// Keeps replays of this node, erasures and other retentions away.
struct Keeper {
    turn: Turn,
    lease: Lease,
}

impl Retention<'_> {
    async fn carry_out(&mut self) -> anyhow::Result<()> {
        if !self.report.dry_run {
            let usable = patiently(|| self.lake.check_rewritable()).await;
            usable.context("the lease that keeps other runs away needs conditional puts")?;
            self.keeper = Some(Keeper {
                turn: Turn::take(
                    self.config,
                    self.node.is_some() || self.config.wal.replica.is_some(),
                )
                .await?,
                lease: Lease::take(self.lake, self.place, self.node, &self.clock).await?,
            });
        }
        let logs = landing::look(&looks(self.config, &[LogRole::Events, LogRole::Feeds]));
        let logs = logs.context("failed to read the log")?;
        let mut stock = Stock::list(self.place).await?;
        let standing = landing::standing(&stock.keys, &logs, self.clock.now().wall);
        let lake = self.lake;
        let expirer = Expirer {
            lake,
            standing: &standing,
        };
        for note in stock.notes() {
            let there = stock.take_note(self.place, &note).await?;
            self.finish(&expirer, &there).await?;
        }
        let plan = stock.take(self.place).await?.plan(self.first_kept);
        self.tell_of(&plan);
        self.expire(&expirer, plan).await?;
        self.verify().await?;
        if let Some(keeper) = &mut self.keeper {
            keeper.lease.give_back(self.lake, &self.clock).await;
        }
        Ok(())
    }

    /// Fails if somebody else may be at work.
    async fn hold(&mut self) -> anyhow::Result<()> {
        if let Some(keeper) = &mut self.keeper {
            keeper.turn.hold().await?;
            keeper.lease.renew(self.lake, &self.clock).await?;
        }
        Ok(())
    }

    /// Removes what an earlier run had listed.
    async fn finish(
        &mut self,
        expirer: &Expirer<'_, Disk>,
        there: &[ListedObject],
    ) -> anyhow::Result<()> {
        for listed in there {
            if self.report.dry_run {
                self.report.finished += 1;
                continue;
            }
            let before = self.removed.len();
            self.remove(expirer, listed).await?;
            self.report.finished += (self.removed.len() - before) as u64;
        }
        Ok(())
    }

    async fn remove(
        &mut self,
        expirer: &Expirer<'_, Disk>,
        listed: &ListedObject,
    ) -> anyhow::Result<()> {
        self.hold().await?;
        match patiently(|| expirer.remove(listed)).await? {
            Removed::Now => self.removed.push(listed.key.clone()),
            Removed::Before => {}
            Removed::Changed => self.report.leave(
                &listed.key,
                "it is not what a note of an earlier run lists; `lakehook audit` names it too",
            ),
        }
        Ok(())
    }

    /// Lists and removes what has expired, some hundred objects at a time.
    async fn expire(
        &mut self,
        expirer: &Expirer<'_, Disk>,
        plan: RetentionPlan,
    ) -> anyhow::Result<()> {
        let progress = bar("objects and runs");
        progress.set_length(plan.expiring.len() as u64);
        let mut batch = Vec::new();
        let mut needed: BTreeSet<RunId> = BTreeSet::new();
        for expiring in plan.expiring {
            self.hold().await?;
            match expiring {
                Expiring::Object(key) => match patiently(|| expirer.claim(&key)).await? {
                    Claimed::Yes(listed) => batch.push(listed),
                    Claimed::Gone => {}
                    Claimed::Left(why) => self.report.leave(&key, why),
                },
                Expiring::Run(run) => {
                    let is_needed = needed.contains(&run.id);
                    if is_needed || !self.claim_run(expirer, &run, &mut batch).await? {
                        needed.extend(run.same_as);
                    }
                }
            }
            if batch.len() >= MAX_LISTED {
                self.remove_all(expirer, &std::mem::take(&mut batch))
                    .await?;
            }
            progress.inc(1);
        }
        self.remove_all(expirer, &batch).await?;
        progress.finish_and_clear();
        Ok(())
    }

    /// Claims a run as a whole, its marker first; `false` if it stays.
    async fn claim_run(
        &mut self,
        expirer: &Expirer<'_, Disk>,
        run: &ExpiringRun,
        batch: &mut Vec<ListedObject>,
    ) -> anyhow::Result<bool> {
        let mut claimed = Vec::new();
        if run.is_marked {
            let marker = run.id.marker();
            claimed.push((
                marker.clone(),
                patiently(|| expirer.claim_marker(&marker)).await?,
            ));
        }
        for key in &run.objects {
            claimed.push((key.clone(), patiently(|| expirer.claim(key)).await?));
        }
        let mut is_whole = true;
        for (key, claimed) in &claimed {
            if let Claimed::Left(why) = claimed {
                is_whole = false;
                self.report.leave(key, why.clone());
            }
        }
        if is_whole {
            batch.extend(
                claimed
                    .into_iter()
                    .filter_map(|(_, claimed)| match claimed {
                        Claimed::Yes(listed) => Some(listed),
                        Claimed::Gone | Claimed::Left(_) => None,
                    }),
            );
        }
        Ok(is_whole)
    }

    /// Notes these objects durably, and then removes them in order.
    async fn remove_all(
        &mut self,
        expirer: &Expirer<'_, Disk>,
        batch: &[ListedObject],
    ) -> anyhow::Result<()> {
        for listed in batch {
            self.report.count(listed);
        }
        if self.report.dry_run {
            return Ok(());
        }
        for listed in batch.chunks(MAX_LISTED) {
            let at = self.clock.now().wall;
            let key = retention_key(at, Ids::System.next_u128()?);
            let note = RetentionNote {
                version: 1,
                at: at.to_string(),
                first_kept_day: self.first_kept.to_string(),
                node: self.node.map(|node| node.to_string()),
                objects: listed.to_vec(),
            };
            let by = self.node.unwrap_or(NodeId(0));
            patiently(|| leave(&Disk, self.lake, &key, by, &note)).await?;
        }
        for listed in batch {
            self.remove(expirer, listed).await?;
        }
        Ok(())
    }

    /// Whatever the store has answered: what a listing still shows is there.
    async fn verify(&mut self) -> anyhow::Result<()> {
        if self.removed.is_empty() {
            return Ok(());
        }
        let now = Stock::list(self.place).await?;
        for key in &self.removed {
            if now.has(key) {
                self.report
                    .leave(key, "it is there again; run the command again");
            }
        }
        if let LakeReader::Bucket(store) = self.place
            && let Ok(true) = store.keeps_versions().await
        {
            self.report.notes.push(
                "the bucket keeps old versions: what was removed stays as a version until a lifecycle rule for \
                 noncurrent versions removes it"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn tell_of(&mut self, plan: &RetentionPlan) {
        if let Some(key) = plan.undated.first() {
            self.report.notes.push(format!(
                "{} objects stay because their keys name no day in the form dt=2026-11-20, such as {key}",
                plan.undated.len()
            ));
        }
        if let Some(run) = plan.unmarked.first() {
            self.report.notes.push(format!(
                "{} old runs stay because they have no marker yet, such as {} of {}",
                plan.unmarked.len(),
                run.name,
                run.stream
            ));
        }
    }
}
