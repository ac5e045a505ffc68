//! `lakehook audit`: checks that everything acknowledged is accounted for in the lake.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::audit::copies::{Copies, CopyCounter};
use crate::audit::whole::{AuditStage, audit as audit_whole};
use crate::audit::{Discrepancy, FileProof, NodeProof};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::config::{Config, Loaded};
use crate::ids::Ids;
use crate::lake::reader::LakeReader;
use crate::out;
use crate::serve::inspection::inspect_dirs;
use crate::telemetry::{self, LogFormat};

/// Arguments of `lakehook audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Read every object, and hold its rows against what it says
    #[arg(long)]
    deep: bool,
    /// A log's directory, to account for what is not in the lake yet; may be given again
    #[arg(long, value_name = "DIR")]
    wal: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What an audit found.
#[derive(Serialize)]
struct Report {
    adds_up: bool,
    deep: bool,
    objects: usize,
    runs: u64,
    nodes: Vec<NodeProof>,
    /// What the runs of files add up to, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<FileProof>,
    /// Objects of runs that broke off: no marker names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    void: Vec<String>,
    problems: Vec<Discrepancy>,
    /// Events that are there more than once; only in depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<Copies>,
}

/// Audits the lake; exit code 0 only if everything adds up.
pub fn run(loaded: &Loaded, args: &AuditArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let runtime = runtime()?;
    let report = runtime.block_on(audit(&loaded.config, args))?;
    if args.json {
        out::line(serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, &loaded.config.lake.url.to_string());
    }
    Ok(if report.adds_up {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn audit(config: &Config, args: &AuditArgs) -> Result<Report, Failure> {
    let place = LakeReader::open(config.lake.destination()).await;
    // Logs are read first. Whatever is put after that is found in the lake; the other way round, it could be
    // found in neither.
    let mut logs = Vec::new();
    for dir in &args.wal {
        let looked = inspect_dirs(config, dir);
        logs.extend(looked.with_context(|| format!("failed to read {}", dir.display()))?);
    }
    let looking = bar("objects");
    let reading = bar("objects read");
    let hooks = config.hook.keys().cloned().collect();
    let mut copies = CopyCounter::new(hooks, &std::env::temp_dir(), &Ids::System)?;
    let counter = args.deep.then_some(&mut copies);
    let whole = audit_whole(
        &place,
        &logs,
        args.deep,
        counter,
        &mut |stage, done, total| {
            let bar = match stage {
                AuditStage::Looking => &looking,
                AuditStage::Reading => &reading,
            };
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            if done == total {
                bar.finish_and_clear();
            }
        },
    )
    .await?;
    let copies = args.deep.then(|| copies.finish()).transpose()?;
    Ok(Report {
        copies,
        adds_up: whole.problems.is_empty(),
        deep: args.deep,
        objects: whole.objects,
        runs: whole.runs,
        nodes: whole.nodes,
        files: (whole.files.runs > 0).then_some(whole.files),
        void: whole.void,
        problems: whole.problems,
    })
}

fn print(report: &Report, lake: &str) {
    for node in &report.nodes {
        out::line(format_args!(
            "node {}: {} objects with {} rows; proved up to seal {}, LSN {}",
            node.node, node.objects, node.rows, node.last_seal, node.up_to_lsn
        ));
        if node.erased > 0 {
            out::line(format_args!("  {} of these rows were erased", node.erased));
        }
        if node.expired > 0 {
            out::line(format_args!(
                "  {} more objects with {} rows expired by retention",
                node.expired, node.expired_rows
            ));
        }
        let total = |name: &str| node.totals.get(name).copied().unwrap_or(0);
        out::line(format_args!(
            "  as of it: received {} = stored {} + dropped {} + duplicate {} + quarantined {}; copies of refused \
             requests {}; {} LSNs void",
            total("received"),
            total("stored"),
            total("dropped"),
            total("duplicate"),
            total("quarantined"),
            total("refused"),
            node.void
        ));
        match &node.log {
            Some(log) => out::line(format_args!(
                "  the log goes to LSN {}: {} rows wait to be put, {} are in no seal yet",
                log.up_to_lsn, log.waiting_rows, log.open_rows
            )),
            None if node.open > 0 => out::line(format_args!(
                "  {} rows were in no seal then; --wal DIR accounts for them",
                node.open
            )),
            None => {}
        }
    }
    if report.runs > 0 {
        out::line(format_args!("{} runs are visible", report.runs));
    }
    print_files(report);
    for problem in &report.problems {
        let place = problem.key.as_deref().or(problem.node.as_deref());
        out::line(format_args!(
            "problem  {}: {}",
            place.unwrap_or("lake"),
            problem.what
        ));
    }
    if let Some(copies) = &report.copies {
        print_copies(copies);
    }
    out::line(match (report.adds_up, report.objects) {
        (true, 0) if report.nodes.is_empty() => format!("There is nothing in the lake yet: {lake}"),
        (true, count) => format!("All {count} objects add up."),
        (false, _) => format!("{} problems: it does not add up.", report.problems.len()),
    });
}

/// What the runs of files add up to, and what nobody reads.
fn print_files(report: &Report) {
    if let Some(files) = &report.files {
        out::line(format_args!(
            "files: {} lines read = {} rows + {} repeats + {} quarantined + {} blank, in {} objects of {} runs",
            files.lines,
            files.rows,
            files.repeats,
            files.quarantined,
            files.blank,
            files.parcels,
            files.runs
        ));
    }
    for key in &report.void {
        out::line(format_args!(
            "void     {key}: no marker names it; its run broke off, or is under way. It may be removed if no run is"
        ));
    }
}

/// Duplicates are no fault of a node: each recognises them among what it receives itself, within its window.
fn print_copies(copies: &Copies) {
    for event in &copies.events {
        out::line(format_args!(
            "duplicate  {} of {}: {} rows, from {}",
            event.event_id,
            event.scope,
            event.copies,
            event.nodes.join(" and ")
        ));
    }
    if copies.across_nodes + copies.within_nodes > 0 {
        out::line(format_args!(
            "{} events are there from several nodes, and {} several times from one: query events_distinct, which \
             `lakehook sql` prints",
            copies.across_nodes, copies.within_nodes
        ));
    }
}
