//! Which files of a look are taken.

use super::definition::{Changed, FilesMode};
use super::folder::{FoundFile, Listing};
use super::pass::{Looked, Pass, Remembered};
use super::picking::{is_known, is_ready};
use super::settling::horizon;
use lakehook_feeds::errors::RunError;

impl Pass<'_> {
    /// The files that are new and complete.
    pub(crate) fn choose<'l>(
        &self,
        listing: &'l Listing,
        known: &mut Remembered,
        looked: &mut Looked,
    ) -> Result<Vec<&'l FoundFile>, RunError> {
        let (plan, now) = (self.job.plan, self.job.waiter.clock().now());
        let picking = &plan.picking;
        let names = listing.files.iter().map(|file| file.name.as_str());
        let horizon = horizon(now.wall, picking.remember);
        let keeps = picking.changed == Changed::Replace;
        known.ledger.see(names, now.wall, horizon, keeps);
        if listing.odd > 0 {
            looked.report.warnings.push(format!(
                "{} names in the inbox fit and are passed over: they are links, no regular files, or not UTF-8",
                listing.odd
            ));
        }
        let mut chosen = Vec::new();
        known.settling.begin();
        for file in &listing.files {
            if is_known(plan, self.accept, file, &known.ledger) {
                looked.report.known += 1;
                continue;
            }
            let left = known.settling.left(file, picking.settle, now);
            let is_ready = match &picking.ready {
                Some(_) => is_ready(plan, file)?,
                None => left.is_none(),
            };
            if is_ready {
                chosen.push(file);
            } else {
                looked.report.waiting += 1;
                if picking.ready.is_none() {
                    let sooner = looked
                        .settles_in
                        .map_or(left, |other| left.map(|own| own.min(other)));
                    looked.settles_in = sooner;
                }
            }
        }
        known.settling.end();
        Ok(chosen)
    }

    /// The newest file, if only that counts.
    pub(crate) fn newest<'f>(&self, chosen: &[&'f FoundFile]) -> Option<&'f FoundFile> {
        if self.job.plan.mode == FilesMode::Append {
            return None;
        }
        let files = chosen.iter().copied();
        files.max_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)))
    }
}
