//! `lakehook wal info` and `wal verify`: look into a log.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::exit::{FAILED, Failure};
use crate::config::Config;
use crate::files::Disk;
use crate::out;
use crate::serve::inspection::inspect_dirs;
use crate::wal::dedup::id_files::IdFile;
use crate::wal::inspect::{Inspection, inspect};

/// The log that a command is about.
pub enum Which {
    /// That of a directory, by itself.
    Dir(PathBuf),
    /// That of a directory, which may be a copy of one in a bucket; all logs of a cluster if it is `wal.dir`.
    Configured(Box<Config>, PathBuf),
}

fn look(which: &Which) -> Result<Vec<Inspection>, Failure> {
    let (inspected, dir) = match which {
        Which::Dir(dir) => (inspect(&Disk, dir).map(|one| vec![one]), dir),
        Which::Configured(config, dir) => (inspect_dirs(config, dir), dir),
    };
    Ok(inspected.with_context(|| {
        let shown = dir.display();
        if dir.exists() {
            format!("failed to read {shown}")
        } else {
            format!("there is no log in {shown} (`wal.dir`); a service makes it when it starts")
        }
    })?)
}

/// Runs `wal info`.
pub fn info(which: &Which) -> Result<ExitCode, Failure> {
    let looked = look(which)?;
    for (number, inspection) in looked.iter().enumerate() {
        head(number, looked.len());
        info_of(inspection);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which of several logs follows.
fn head(number: usize, of: usize) {
    if of > 1 {
        out::line(format_args!("log {number} of {of}"));
    }
}

fn info_of(inspection: &Inspection) {
    match inspection.node {
        Some(node) => out::line(format_args!("node {node}")),
        None => out::line("no node yet: no service has used this directory"),
    }
    if let Some((owner, epoch)) = &inspection.owner {
        out::line(format_args!("owner {owner}, epoch {epoch}"));
    }
    out::line("segment       bytes        used   frames      rows  LSNs");
    for segment in &inspection.segments {
        let lsns = match segment.lsns {
            Some((first, next)) if next > first => format!("{first}..{}", next.0 - 1),
            _ => "-".to_owned(),
        };
        out::line(format_args!(
            "{:>7} {:>11} {:>11} {:>8} {:>9}  {lsns}",
            segment.number, segment.bytes, segment.used_bytes, segment.frames, segment.rows
        ));
    }
    let ids: u64 = inspection.id_files.values().map(IdFile::count).sum();
    out::line(format_args!(
        "{} id files with {ids} ids",
        inspection.id_files.len()
    ));
    totals(inspection);
    problems(inspection);
}

/// Runs `wal verify`.
pub fn verify(which: &Which) -> Result<ExitCode, Failure> {
    let looked = look(which)?;
    let mut is_whole = true;
    for (number, inspection) in looked.iter().enumerate() {
        head(number, looked.len());
        is_whole &= verify_one(inspection);
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn verify_one(inspection: &Inspection) -> bool {
    let frames: u64 = inspection
        .segments
        .iter()
        .map(|segment| segment.frames)
        .sum();
    let rows: u64 = inspection.segments.iter().map(|segment| segment.rows).sum();
    let segments = inspection.segments.len();
    out::line(format_args!(
        "read {segments} segments, {frames} frames, {rows} rows"
    ));
    problems(inspection);
    let is_whole = inspection.problems.is_empty();
    if is_whole {
        out::line("no damage found");
    }
    is_whole
}

fn totals(inspection: &Inspection) {
    let state = &inspection.state;
    let totals = &state.totals;
    out::line(format_args!(
        "received {} = stored {} + dropped {} + duplicate {} + quarantined {}; copies of refused \
         requests {}",
        totals.received,
        totals.stored,
        totals.dropped,
        totals.duplicate,
        totals.quarantined,
        totals.refused
    ));
    out::line(format_args!(
        "next LSN {}, last seal {}, {} batches open, {} sealed without commit, {} rows not yet in the \
         lake",
        state.next_lsn,
        state.last_seal,
        state.batches.open().count(),
        state.sealed.len(),
        state.uncommitted_rows()
    ));
}

fn problems(inspection: &Inspection) {
    if let Some(torn) = &inspection.torn {
        out::line(format_args!(
            "behind the last frame, at byte {}, lie {} bytes of a write that nobody was told of",
            torn.offset, torn.bytes
        ));
    }
    for problem in &inspection.problems {
        out::line(format_args!("problem: {problem}"));
    }
}
