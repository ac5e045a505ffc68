//! One run: files that become visible together.
//!
//! ```text
//!  begin in the log ─ rows: parcels ─ refused: log, held ─ put parcels ─ ids, ledger: pending ─ end in the log
//!        └── anything fails: abandoned; nothing of it is visible, and no file of it is known ──┘        │
//!                                                            ids and ledger count ◀─────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::{Changed, FilesMode};
use super::folder::FoundFile;
use super::harvest::Harvest;
use super::known_ids::KnownIds;
use super::ledger::{KnownFile, Ledger, NotedFile, Outcome, TakenIn};
use super::marker::{About, MarkedFile, Replaced};
use super::parcel::{Parcel, ParcelWriter, ParcelsOf};
use super::plan::FilesPlan;
use super::report::{LineCounts, PassReport};
use super::taker::RunOrigin;
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::{Lsn, NO_RUN, Origin, RowKind, Rows};
use lakehook_base::tables::{LiveShape, StreamTable, Table};
use lakehook_contract::quarantine;
use lakehook_feeds::context::Context;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::storing;
use lakehook_feeds::wait::Waiter;
use lakehook_lake::keys;
use lakehook_log::request::{Append, EndRun};

/// Refused rows go to the log once they have this many bytes.
const PORTION: usize = 1 << 20;
/// A run ends after [`Run::MAX_FILES`], or once what its marker says of them has this many bytes.
const MAX_ABOUT: usize = 1 << 20;

/// What the log remembers of a stream of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FilesCursor {
    /// Start of the last run, in microseconds.
    pub(crate) started: i64,
    /// The last run that has ended.
    pub(crate) run: u64,
    /// The run that has the last snapshot.
    pub(crate) snapshot: Option<String>,
    /// Rows of the last snapshot.
    pub(crate) rows: Option<u64>,
    /// When the file of the last snapshot was changed last, in microseconds.
    pub(crate) newest: i64,
    /// The lake that the runs are in.
    pub(crate) lake: String,
}

/// What a run works with.
#[derive(Clone, Copy)]
pub(crate) struct RunJob<'a> {
    pub(crate) plan: &'a FilesPlan,
    pub(crate) waiter: &'a Waiter,
    /// `None` for a run that writes nothing.
    pub(crate) context: Option<&'a Context>,
}

/// A run that has begun.
pub(crate) struct Run<'a> {
    job: RunJob<'a>,
    pub(crate) lsn: Lsn,
    pub(crate) name: String,
    started: Micros,
    pub(crate) of: RunOrigin,
    parcels: Option<ParcelWriter<'a>>,
    refused: Rows,
    notes: Vec<NotedFile>,
    replaced: Vec<Replaced>,
    /// The marker's list of files, as JSON without its brackets.
    files: Vec<u8>,
    counts: LineCounts,
    nulls: BTreeMap<String, u64>,
    /// When the newest file that was taken was changed last.
    newest: i64,
    is_open: bool,
}

impl<'a> Run<'a> {
    /// Most files of a run.
    pub(crate) const MAX_FILES: usize = 1000;

    /// Begins a run.
    pub(crate) fn begin(job: RunJob<'a>, cursor: &FilesCursor) -> Result<Self, RunError> {
        let now = job.waiter.clock().now().wall;
        // The names of runs sort by time, whatever the clock does.
        let started = now.max(Micros(cursor.started + 1));
        let (lsn, node) = match job.context {
            None => (NO_RUN, lakehook_base::ids::NodeId(0)),
            Some(context) => (
                storing::begin(job.waiter, &context.log, &job.plan.name)?,
                context.node,
            ),
        };
        let name = keys::run_name(started, node, lsn);
        let stream = &job.plan.name;
        let partition = keys::run_partition(stream, started, &name);
        let parcels = job.context.map(|context| {
            ParcelWriter::new(ParcelsOf {
                writing: &context.writing,
                waiter: job.waiter,
                ids: &context.ids,
                is_growing: matches!(job.plan.table, StreamTable::Growing(_)),
                node,
                run: lsn,
                partition: partition.clone(),
            })
        });
        Ok(Self {
            job,
            lsn,
            of: RunOrigin {
                origin: Origin {
                    received_at: started,
                    endpoint: stream.as_str().into(),
                    request_id: name.as_str().into(),
                    client: None,
                },
                partition,
                quarantine: quarantine::partition(stream, started),
            },
            name,
            started,
            parcels,
            refused: Rows::default(),
            notes: Vec::new(),
            replaced: Vec::new(),
            files: Vec::new(),
            counts: LineCounts::default(),
            nulls: BTreeMap::new(),
            newest: i64::MIN,
            is_open: true,
        })
    }

    /// Whether it should end before another file.
    pub(crate) fn is_full(&self) -> bool {
        self.notes.len() >= Self::MAX_FILES || self.files.len() >= MAX_ABOUT
    }

    /// How many more files it takes.
    pub(crate) fn room(&self) -> usize {
        Self::MAX_FILES.saturating_sub(self.notes.len())
    }

    /// What is known of its stream.
    pub(crate) fn plan(&self) -> &'a FilesPlan {
        self.job.plan
    }

    /// The columns of its objects, if rows go by column.
    pub(crate) fn table(&mut self) -> Result<Option<Arc<Table>>, RunError> {
        self.parcels.as_mut().map_or(Ok(None), ParcelWriter::table)
    }

    /// Lines that were read so far.
    pub(crate) fn lines(&self) -> u64 {
        self.counts.lines
    }

    /// Whether a file with these bytes was taken.
    pub(crate) fn has_content(&self, hash: u128) -> bool {
        let mut notes = self.notes.iter().map(|note| note.known);
        notes.any(|known| known.outcome == Outcome::Taken && known.hash == hash)
    }

    /// Whether nothing was noted yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Fetches the rows that a taker has made: those of the stream become parcels, the others go to the log.
    pub(crate) fn fetch(&mut self, rows: &mut Rows) -> Result<(), RunError> {
        for (row, bytes) in rows.iter() {
            if row.kind == RowKind::Quarantined {
                self.refused.bytes.extend_from_slice(bytes);
                let partition = self.refused.partition(&self.of.quarantine);
                self.refused.finish_row(row.lsn_at, partition, row.kind);
            } else if let Some(parcels) = &mut self.parcels {
                parcels.row(row.lsn_at as usize, bytes)?;
            }
        }
        rows.bytes.clear();
        rows.rows.clear();
        if self.refused.bytes.len() >= PORTION {
            self.log_refused()?;
        }
        Ok(())
    }

    /// Fetches all that was read of a file so far.
    pub(crate) fn fetch_all(&mut self, got: &mut Harvest) -> Result<(), RunError> {
        self.fetch(&mut got.rows)?;
        match (&mut got.typed, &mut self.parcels) {
            (Some(typed), Some(parcels)) => parcels.rows(typed),
            _ => Ok(()),
        }
    }

    fn log_refused(&mut self) -> Result<(), RunError> {
        let rows = std::mem::take(&mut self.refused);
        if rows.rows.is_empty() {
            return Ok(());
        }
        let Some(context) = self.job.context else {
            return Ok(());
        };
        let append = Append {
            rows,
            dropped: 0,
            origin: self.of.origin.clone(),
            run: self.lsn,
            cursor: None,
        };
        storing::append(self.job.waiter, &context.log, append).map(drop)
    }

    /// Notes a file that was taken, whose rows are fetched; `before` is what was known of its name.
    pub(crate) fn note_taken(
        &mut self,
        file: &FoundFile,
        hash: u128,
        got: &Harvest,
        before: Option<&KnownFile>,
    ) {
        let replaces = self.job.plan.picking.changed == Changed::Replace;
        let before = before.and_then(|known| known.taken_in);
        if let Some((before, context)) = before.filter(|_| replaces).zip(self.job.context) {
            self.replaced.push(Replaced {
                file: file.name.clone(),
                run: keys::run_name(Micros(before.started), context.node, Lsn(before.run)),
            });
        }
        let counts = got.counts;
        self.counts.add(&counts);
        self.newest = self.newest.max(file.modified.0);
        let rules = self.job.plan.entities.rules();
        for (rule, count) in &got.nulls {
            *self
                .nulls
                .entry(rules.column(*rule).to_owned())
                .or_default() += count;
        }
        self.note(file, hash, Outcome::Taken, None, Some(counts));
    }

    /// Notes records that were refused before, and whose rows are fetched.
    pub(crate) fn note_replayed(&mut self, count: u64) {
        self.counts.lines += count;
        self.counts.rows += count;
    }

    /// Notes a file that was refused or passed over; `evidence` are rows of the quarantine that show why.
    pub(crate) fn note_other(
        &mut self,
        file: &FoundFile,
        hash: u128,
        outcome: Outcome,
        why: &str,
        evidence: &mut Rows,
    ) -> Result<(), RunError> {
        self.note(file, hash, outcome, Some(why), None);
        self.fetch(evidence)
    }

    fn note(
        &mut self,
        file: &FoundFile,
        hash: u128,
        outcome: Outcome,
        why: Option<&str>,
        counts: Option<LineCounts>,
    ) {
        if !self.files.is_empty() {
            self.files.push(b',');
        }
        let marked = MarkedFile {
            name: &file.name,
            bytes: file.bytes,
            xxh3: (hash != 0).then(|| format!("{hash:032x}")),
            outcome,
            why,
            counts,
        };
        push_json(&mut self.files, &marked);
        self.notes.push(NotedFile {
            name: file.name.clone(),
            known: KnownFile {
                version: file.version,
                hash,
                outcome,
                plan: self.job.plan.hash,
                seen: self.started,
                taken_in: (outcome == Outcome::Taken).then_some(TakenIn {
                    started: self.started.0,
                    run: self.lsn.0,
                }),
            },
        });
    }

    /// Ends the run: afterwards its files are known, and they become visible.
    pub(crate) fn end(
        mut self,
        cursor: &mut FilesCursor,
        ids: &mut KnownIds,
        ledger: &mut Ledger,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
        self.tell(report);
        let Some(context) = self.job.context else {
            self.is_open = false;
            return ids.discard(self.lsn.0).map_err(|error| remembering(&error));
        };
        self.log_refused()?;
        let live = self.job.plan.entities.live();
        live.map_or(Ok(()), LiveShape::keep)
            .map_err(|error| remembering(&error))?;
        let parcels = match &mut self.parcels {
            Some(parcels) => parcels.finish()?,
            None => Vec::new(),
        };
        let is_snapshot = self.job.plan.mode == FilesMode::Snapshot;
        let has_ids = if self.job.plan.keeps_ids() {
            ids.write(self.lsn.0)
        } else {
            ids.discard(self.lsn.0).map(|()| false)
        };
        let has_ids = has_ids.map_err(|error| remembering(&error))?;
        let notes = std::mem::take(&mut self.notes);
        let written = ledger.write(self.lsn.0, &notes);
        written.map_err(|error| remembering(&error))?;
        let has_taken = notes
            .iter()
            .any(|note| note.known.outcome == Outcome::Taken);
        let has_table = is_snapshot && has_taken;
        let next = FilesCursor {
            started: self.started.0,
            run: self.lsn.0,
            snapshot: has_table
                .then(|| self.name.clone())
                .or(cursor.snapshot.clone()),
            rows: has_table.then_some(self.counts.rows).or(cursor.rows),
            newest: self.newest.max(cursor.newest),
            lake: cursor.lake.clone(),
        };
        self.end_in_log(context, &next, &parcels)?;
        self.is_open = false;
        *cursor = next;
        report.runs.push(self.name.clone());
        if has_ids {
            ids.publish(self.lsn.0)
                .map_err(|error| remembering(&error))?;
        }
        let published = ledger.publish(self.lsn.0, notes);
        published.map_err(|error| remembering(&error))
    }

    fn tell(&self, report: &mut PassReport) {
        report.counts.add(&self.counts);
        for (column, count) in &self.nulls {
            *report.nulls.entry(column.clone()).or_default() += count;
        }
        let taken = self
            .notes
            .iter()
            .filter(|note| note.known.outcome == Outcome::Taken);
        report.files += taken.count() as u64;
    }

    fn end_in_log(
        &self,
        context: &Context,
        cursor: &FilesCursor,
        parcels: &[Parcel],
    ) -> Result<(), RunError> {
        let plan = self.job.plan;
        let mut about = Vec::new();
        let LineCounts {
            lines,
            rows,
            repeats,
            quarantined,
            blank,
        } = self.counts;
        push_json(
            &mut about,
            &About {
                version: 1,
                stream: &plan.name,
                run: &self.name,
                started_at: self.started.to_string(),
                ended_at: self.job.waiter.clock().now().wall.to_string(),
                records: rows,
                quarantined,
                lines,
                repeats,
                blank,
                rules: match plan.entities.rules().hash() {
                    0 => None,
                    hash => Some(format!("{hash:016x}")),
                },
                nulls: &self.nulls,
                same_as: cursor.snapshot.as_ref().filter(|run| **run != self.name),
                parcels,
                replaced: &self.replaced,
            },
        );
        about.pop();
        about.extend_from_slice(b",\"files\":[");
        about.extend_from_slice(&self.files);
        about.push(b']');
        let mut known = Vec::new();
        push_json(&mut known, cursor);
        let end = EndRun {
            run: self.lsn,
            poll: plan.name.clone(),
            cursor: known,
            marker: keys::marker_key(&plan.name, &self.name),
            about,
        };
        storing::end(self.job.waiter, &context.log, &end)
    }

    /// Gives the run up: nothing of it is visible.
    pub(crate) fn abandon(mut self, ids: &mut KnownIds, ledger: &Ledger) -> Result<(), RunError> {
        self.abandon_in_log();
        let forgotten = ids
            .discard(self.lsn.0)
            .and_then(|()| ledger.discard(self.lsn.0));
        forgotten.map_err(|error| remembering(&error))
    }

    fn abandon_in_log(&mut self) {
        let is_open = std::mem::replace(&mut self.is_open, false);
        let Some(context) = self.job.context.filter(|_| is_open) else {
            return;
        };
        storing::abandon(self.job.waiter, &context.log, self.lsn);
    }
}

impl Drop for Run<'_> {
    /// Abandons the run, even if it panicked.
    fn drop(&mut self) {
        self.abandon_in_log();
    }
}

/// What is remembered of files and ids cannot be read or written.
pub(crate) fn remembering(error: &std::io::Error) -> RunError {
    RunError::Failed(format!(
        "what is remembered of files beside the log cannot be read or written: {error}"
    ))
}
