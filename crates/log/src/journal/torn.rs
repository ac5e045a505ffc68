//! Copies of torn tails, for people who investigate a crash. The program never reads them.

use std::io;
use std::path::Path;

use super::frames::TornTail;
use crate::journal::read::SegmentReader;
use lakehook_base::files::{File, Files, remove_if_there};

/// Most copies that are kept.
const MAX_TORN_COPIES: usize = 4;
/// Most bytes of a copy.
const MAX_TORN_COPY: u64 = 32 << 20;

/// Copies a torn tail into a file of its own. The bytes stay in the segment too, so a failure does
/// no harm.
pub(crate) fn keep_aside<F: Files>(
    files: &F,
    dir: &Path,
    segment: u64,
    reader: &SegmentReader<F::File>,
    torn: &TornTail,
) {
    let name = format!("torn-{segment}-{}.bin", torn.offset);
    let bytes = usize::try_from(torn.bytes.min(MAX_TORN_COPY)).unwrap_or(0);
    let copy = || -> io::Result<()> {
        forget_older(files, dir)?;
        let bytes = reader.read(torn.offset, bytes).map_err(io::Error::other)?;
        let path = dir.join(&name);
        remove_if_there(files, &path)?;
        files.create_new(&path)?.write_all_at(&bytes, 0)
    };
    if let Err(error) = copy() {
        tracing::warn!(%error, name, "failed to keep a torn tail aside");
    }
}

/// Removes the oldest copies, so that there is room for one more.
fn forget_older<F: Files>(files: &F, dir: &Path) -> io::Result<()> {
    let mut tails: Vec<(u64, String)> = Vec::new();
    for entry in files.list(dir)? {
        let number = entry.name.strip_prefix("torn-");
        let number = number.and_then(|rest| rest.split('-').next()?.parse().ok());
        if let Some(number) = number {
            tails.push((number, entry.name));
        }
    }
    tails.sort();
    let surplus = (tails.len() + 1).saturating_sub(MAX_TORN_COPIES);
    for (_, name) in &tails[..surplus] {
        remove_if_there(files, &dir.join(name))?;
    }
    Ok(())
}
