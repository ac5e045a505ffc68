//! Which files are to be taken, as far as their names and bytes alone decide that.

use super::definition::{Changed, SameContent};
use super::folder::FoundFile;
use super::ledger::{Ledger, Outcome};
use super::plan::FilesPlan;
use super::reading::hash_file;
use super::record::ReadStop;
use super::run::Run;
use lakehook_feeds::errors::RunError;

/// What to do about a file before it is read.
pub(crate) enum Decision {
    Read,
    /// It is gone, or not the one that was listed.
    Gone,
    /// Nothing: its bytes are those that were taken.
    Leave,
    /// It is passed over from now on.
    Pass(u128, &'static str),
    /// It is refused, because another file of its name was taken, with this hash.
    Refuse(u128, &'static str),
}

/// Whether nothing is to be done about a file: it was taken, or refused by what still applies.
pub(crate) fn is_known(plan: &FilesPlan, accept: bool, file: &FoundFile, ledger: &Ledger) -> bool {
    let Some(known) = ledger.get(&file.name) else {
        return false;
    };
    let is_refused = matches!(known.outcome, Outcome::Failed | Outcome::Changed);
    let again = is_refused && (accept || known.plan != plan.hash);
    known.version == file.version && !again
}

/// Whether the file is there that says that another one is complete.
pub(crate) fn is_ready(plan: &FilesPlan, file: &FoundFile) -> Result<bool, RunError> {
    let Some(ready) = &plan.picking.ready else {
        return Ok(true);
    };
    let (dir, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
    let mark = ready.replace("{name}", name);
    let mark = if dir.is_empty() {
        mark
    } else {
        format!("{dir}/{mark}")
    };
    let is_there = plan.inbox.has(&mark);
    is_there.map_err(|error| RunError::Failed(format!("the inbox: {mark}: {error}")))
}

/// What to do about a file, as far as its bytes alone decide that.
pub(crate) fn decide(
    plan: &FilesPlan,
    accept: bool,
    file: &FoundFile,
    ledger: &Ledger,
    run: Option<&Run<'_>>,
) -> std::io::Result<Decision> {
    let skips = plan.picking.same_content == SameContent::Skip;
    let before = ledger.get(&file.name);
    let was_taken = |outcome| matches!(outcome, Outcome::Taken | Outcome::Changed);
    let before = before.filter(|known| was_taken(known.outcome));
    if before.is_none() && !skips {
        return Ok(Decision::Read);
    }
    let Some(open) = plan.inbox.open(file)? else {
        return Ok(Decision::Gone);
    };
    let hash = match hash_file(&open.file, plan) {
        Ok(hash) => hash,
        // Reading it says what is wrong with it.
        Err(ReadStop::Io(error)) => return Err(error),
        Err(_) => return Ok(Decision::Read),
    };
    if open.found.version != file.version || !open.is_still() {
        return Ok(Decision::Gone);
    }
    if let Some(before) = before {
        if before.hash == hash {
            return Ok(Decision::Leave);
        }
        if plan.picking.changed == Changed::Refuse && !accept {
            return Ok(Decision::Refuse(
                before.hash,
                "a file of this name was taken before, with other bytes; give it another name, or set changed = \"take\"",
            ));
        }
    }
    let is_known = |hash| ledger.has_content(hash) || run.is_some_and(|run| run.has_content(hash));
    if skips && is_known(hash) {
        return Ok(Decision::Pass(
            hash,
            "a file with the same bytes was taken before",
        ));
    }
    Ok(Decision::Read)
}
