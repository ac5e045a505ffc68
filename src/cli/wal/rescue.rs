//! `lakehook wal repair` and `wal adopt`: replace a log that cannot go on by one that can.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::Failure;
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::erase::key;
use crate::files::{Disk, Files as _};
use crate::ids::Ids;
use crate::lake::reader::LakeReader;
use crate::lake::{Lake, keys, notes};
use crate::out;
use crate::rescue::{InLake, Lost, sweep};
use crate::serve::home::is_copy;
use crate::serve::{LogRole, lake_of, log_settings};
use crate::telemetry::{self, LogFormat};
use crate::wal::node::{Lock, Node, read};
use crate::wal::rescue::{Rebuilt, Survey, finish, is_unfinished, rebuild, survey};

/// The arguments of `wal repair` and `wal adopt`.
#[derive(Debug, Args)]
pub struct RescueArgs {
    /// Which of the two logs: that in `wal.dir`, or that in `polls.dir`
    #[arg(long, value_enum, default_value_t = WhichLog::Events)]
    log: WhichLog,
    /// The log's directory [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// One of the two logs, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WhichLog {
    Events,
    Polls,
}

impl WhichLog {
    pub(super) fn role(self) -> LogRole {
        match self {
            Self::Events => LogRole::Events,
            Self::Polls => LogRole::Feeds,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Events => Self::Polls,
            Self::Polls => Self::Events,
        }
    }
}

/// What a rescue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Cuts damage out of a log.
    Repair,
    /// Gives a copied directory a node id of its own.
    Adopt,
}

/// Runs `wal repair`.
pub fn repair(loaded: &Loaded, args: &RescueArgs) -> Result<ExitCode, Failure> {
    run(loaded, args, Aim::Repair)
}

/// Runs `wal adopt`.
pub fn adopt(loaded: &Loaded, args: &RescueArgs) -> Result<ExitCode, Failure> {
    run(loaded, args, Aim::Adopt)
}

fn run(loaded: &Loaded, args: &RescueArgs, aim: Aim) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::WARN, LogFormat::Auto);
    let config = &loaded.config;
    let dir = directory(config, args)?;
    let role = args.log.role();
    if is_copy(&dir)? {
        let message = "the directory holds copies of a log that is kept in a bucket, and nothing else: remove it, and \
                       the next start fetches them anew";
        return Err(anyhow!(message).into());
    }
    if !Disk.exists(&dir) {
        return Err(anyhow!("there is no log in {}", dir.display()).into());
    }
    let lock = Lock::take(&dir).context("stop the service first")?;
    if args.dry_run && is_unfinished(&Disk, &dir) {
        out::line("A repair was interrupted; without --dry-run it is finished.");
        return Ok(ExitCode::SUCCESS);
    }
    if finish(&Disk, &dir)? {
        out::line("An interrupted repair is finished: the log can be used.");
        return Ok(ExitCode::SUCCESS);
    }
    let node = read(&Disk, &dir)?;
    let node = node.ok_or_else(|| anyhow!("no service has used {} yet", dir.display()))?;
    let survey = survey(&Disk, &dir)?;
    for damaged in &survey.damaged {
        out::line(format_args!(
            "damaged  {} from byte {}: {}",
            damaged.path.display(),
            damaged.offset,
            damaged.detail
        ));
    }
    match (aim, survey.damaged.is_empty()) {
        (Aim::Repair, true) => {
            out::line("No damage was found; nothing is changed.");
            return Ok(ExitCode::SUCCESS);
        }
        (Aim::Adopt, false) => {
            let message = "the log is damaged: `lakehook wal repair` cuts that out, and gives a new node id too";
            return Err(anyhow!(message).into());
        }
        _ => {}
    }
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let lake = lake_of(config, &dir, Handle::current()).await;
        let place = LakeReader::open(config.lake.destination()).await;
        let rescue = Rescue {
            aim,
            config,
            role,
            dir: &dir,
            node,
            survey: &survey,
            lake: Arc::new(lake),
        };
        rescue.run(&place, args.dry_run).await
    });
    runtime.shutdown_background();
    drop(lock);
    done
}

/// The log's directory. The two logs treat rows differently, so the directory of the other log is refused.
fn directory(config: &Config, args: &RescueArgs) -> Result<PathBuf, Failure> {
    let Some(dir) = args.dir.clone() else {
        return Ok(args.log.role().section(config).dir);
    };
    let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let other = args.log.other();
    let other_dir = other.role().section(config).dir;
    if real(&dir) == real(&other_dir) {
        let log = other.to_possible_value();
        let log = log.as_ref().map_or("", |value| value.get_name());
        return Err(Failure::Usage(format!(
            "lakehook: {} is the other log of the configuration; say --log {log}",
            dir.display()
        )));
    }
    Ok(dir)
}

struct Rescue<'a> {
    aim: Aim,
    config: &'a Config,
    role: LogRole,
    dir: &'a Path,
    node: Node,
    survey: &'a Survey,
    lake: Arc<Lake<Disk>>,
}

impl Rescue<'_> {
    async fn run(&self, place: &LakeReader, dry_run: bool) -> Result<ExitCode, Failure> {
        let configured = self.lake.identity();
        if let Some(other) = self.survey.lakes.iter().find(|lake| *lake != configured) {
            let message = format!(
                "batches of this log were sealed for {other}, and the configuration names {configured}: \
                 name that lake, so that it can be asked what it has"
            );
            return Err(Failure::Usage(message));
        }
        let key = key::read(&Disk, self.dir)?;
        let bar = bar("objects asked");
        let mut step = |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        let in_lake = InLake::ask(place, self.node.id, self.survey, key, &mut step).await?;
        bar.finish_and_clear();
        let lost = self.lost(&in_lake);
        self.tell_lost(&lost);
        if dry_run {
            return self.tell_only(&in_lake);
        }
        let rebuilt = tokio::task::block_in_place(|| self.replace(&in_lake, &lost))?;
        // Only a repair sweeps the lake: the original of a copy may still be running.
        if let (Aim::Repair, LakeReader::Directory(root)) = (self.aim, place) {
            sweep(root, self.node.id)?;
        }
        self.tell(&rebuilt);
        Ok(ExitCode::SUCCESS)
    }

    fn lost(&self, in_lake: &InLake) -> Vec<RangeInclusive<u64>> {
        let unread = self.survey.unread.iter();
        unread.flat_map(|range| in_lake.missing(range)).collect()
    }

    fn tell_lost(&self, lost: &[RangeInclusive<u64>]) {
        if let Some(lsn) = self.survey.unread_before {
            let which = if lsn.0 > 1 {
                format!("records before LSN {lsn}")
            } else {
                "all records".to_owned()
            };
            out::line(format_args!(
                "lost     {which} that were not yet in the lake; their numbers cannot be read"
            ));
        }
        for range in lost {
            out::line(format_args!(
                "lost     LSN {} to {} ({} at most: some may never have been acknowledged)",
                range.start(),
                range.end(),
                range.end() - range.start() + 1
            ));
        }
        if let Some(lsn) = self.survey.unread_from {
            out::line(format_args!(
                "lost     records from LSN {lsn} on, if there were any; nothing behind it can be read"
            ));
        }
        if !self.survey.damaged.is_empty() {
            out::line(
                "lost     ids of what cannot be read: where the lake has it, and it is sent again, it is stored again",
            );
        }
        if self.survey.runs > 0 {
            out::line(format_args!(
                "given up {} runs of polls; the next runs read all of it again",
                self.survey.runs
            ));
        }
    }

    fn tell_only(&self, in_lake: &InLake) -> Result<ExitCode, Failure> {
        let (mut rows, mut there) = (0_u64, 0_u64);
        self.survey.each_unshipped(&Disk, self.dir, &mut |row| {
            *(if in_lake.has(&row) {
                &mut there
            } else {
                &mut rows
            }) += 1;
            Ok(())
        })?;
        out::line(format_args!(
            "{rows} rows would be kept, {there} more are in the lake already. Nothing was changed: without \
             --dry-run it is done"
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn replace(&self, in_lake: &InLake, lost: &[RangeInclusive<u64>]) -> anyhow::Result<Rebuilt> {
        let settings = log_settings(self.config, self.role, self.lake.identity());
        let clock = Clock::system();
        let rebuilt = rebuild(
            &Disk,
            self.dir,
            self.survey,
            &settings,
            (&clock, &Ids::System),
            &mut |row| in_lake.has(row),
            &mut |rebuilt| self.leave_note(rebuilt, lost, &clock),
        )?;
        finish(&Disk, self.dir)?;
        Ok(rebuilt)
    }

    /// Leaves a note in the lake that names what is lost, so that every audit reports it.
    fn leave_note(
        &self,
        rebuilt: &Rebuilt,
        lost: &[RangeInclusive<u64>],
        clock: &Clock,
    ) -> io::Result<()> {
        let note = Lost {
            node: rebuilt.old.to_string(),
            replaced_by: rebuilt.new.to_string(),
            at: clock.now().wall.to_string(),
            before: self.survey.unread_before.map(|lsn| lsn.0),
            from: self.survey.unread_from.map(|lsn| lsn.0),
            lsns: lost
                .iter()
                .map(|range| [*range.start(), *range.end()])
                .collect(),
        };
        if note.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(&note)?;
        let key = keys::lost_key(rebuilt.old, rebuilt.new);
        let left = notes::leave(&Disk, &self.lake, key, rebuilt.old, &text);
        left.map_err(io::Error::other)
    }

    fn tell(&self, rebuilt: &Rebuilt) {
        for lost in &rebuilt.lost_ids {
            out::line(format_args!(
                "lost     ids: {lost}; what is sent again of its time may be stored twice"
            ));
        }
        out::line(format_args!(
            "The log goes on as node {} (it was {}): {} rows wait for the lake, {} more were there already, {} ids \
             are known",
            rebuilt.new, rebuilt.old, rebuilt.rows, rebuilt.in_lake, rebuilt.ids
        ));
        out::line(format_args!(
            "The old files are in {}. Nothing reads them; remove them when you don't need them",
            self.dir.join(&rebuilt.aside).display()
        ));
    }
}
