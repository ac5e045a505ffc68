//! Judges the records of one file: each becomes a row, a repeat, or a row of the quarantine.

use super::harvest::Harvest;
use super::id_entry::IdEntry;
use super::known_ids::{KnownIds, Sighting};
use super::plan::FilesPlan;
use super::record::{BadRecord, Part, ReadRecord, ReadStop};
use super::report::MAX_SAMPLES;
use super::row_batch::RowBatch;
use super::straight::StraightRows;
use super::table_row::{RowScratch, TableRow};
use lakehook_base::clock::Micros;
use lakehook_base::record::{Origin, RowKind};
use lakehook_contract::entity::{FromFile, Taken, Target};
use lakehook_contract::entity_files::RefusedPart;
use lakehook_contract::quarantine::{FieldError, Reason, RecordPlace};
use lakehook_lake::encode::TypedRows;

/// Refused records of a failed file that are kept, and their bytes.
const MAX_EVIDENCE: usize = 20;
const MAX_EVIDENCE_BYTES: usize = 256 << 10;

/// What the rows of a run have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunOrigin {
    pub(crate) origin: Origin,
    pub(crate) partition: String,
    pub(crate) quarantine: String,
}

impl RunOrigin {
    /// For rows that are not kept.
    pub(crate) fn nowhere(stream: &str) -> Self {
        Self {
            origin: Origin {
                received_at: Micros(0),
                endpoint: stream.into(),
                request_id: "".into(),
                client: None,
            },
            partition: stream.to_owned(),
            quarantine: format!("quarantine/{stream}"),
        }
    }
}

/// The ids that a file is judged by.
pub(crate) enum IdsOf<'a> {
    /// Those that are known; the file's own are kept aside, since other files of the run must stay if this one
    /// fails.
    Aside(&'a KnownIds),
    /// Those that are known, which the file's own join: the run is void if the file fails.
    InRun(&'a mut KnownIds),
}

/// Takes the records of one file.
pub(crate) struct Taker<'a> {
    plan: &'a FilesPlan,
    of: &'a RunOrigin,
    ids: IdsOf<'a>,
    file: &'a str,
    pub(crate) got: Harvest,
    way: Way,
    scratch: RowScratch,
    /// The rows of the batch under way that are new and not among the rows by column yet.
    fresh: Vec<usize>,
}

/// How rows of a table become rows of the stream.
enum Way {
    /// The columns of the table are not known yet.
    Unknown,
    Straight(Box<StraightRows>),
    OverJson,
}

impl<'a> Taker<'a> {
    /// For a file; `typed` is where its rows go if they go by column.
    pub(crate) fn new(
        plan: &'a FilesPlan,
        of: &'a RunOrigin,
        ids: IdsOf<'a>,
        file: &'a str,
        typed: Option<TypedRows>,
    ) -> Self {
        Self {
            plan,
            of,
            ids,
            file,
            way: match typed {
                Some(_) => Way::Unknown,
                None => Way::OverJson,
            },
            got: Harvest {
                typed,
                ..Harvest::default()
            },
            scratch: RowScratch::default(),
            fresh: Vec::new(),
        }
    }

    /// Takes the next part of the file.
    pub(crate) fn take(&mut self, part: Part<'_>) -> Result<(), ReadStop> {
        let counts = &mut self.got.counts;
        counts.lines += match part {
            Part::Rows(batch) => batch.len() as u64,
            _ => 1,
        };
        match part {
            Part::Blank => counts.blank += 1,
            Part::Bad(bad) => self.refuse_bad(&bad),
            Part::Record(record) => self.take_record(record)?,
            Part::Rows(batch) => self.take_rows(batch)?,
        }
        Ok(())
    }

    fn place<'p>(&self, line: u64, header: Option<&'p str>) -> RecordPlace<'p>
    where
        'a: 'p,
    {
        RecordPlace {
            file: self.file,
            line,
            header,
        }
    }

    fn take_rows(&mut self, batch: RowBatch<'_>) -> Result<(), ReadStop> {
        if let (Way::Unknown, Some(typed)) = (&self.way, &self.got.typed) {
            let way = StraightRows::new(self.plan, batch, self.file, typed);
            self.way = way.map_or(Way::OverJson, |way| Way::Straight(Box::new(way)));
        }
        match std::mem::replace(&mut self.way, Way::OverJson) {
            Way::Straight(mut way) => {
                let taken = self.take_straight(batch, &mut way);
                self.way = Way::Straight(way);
                taken
            }
            _ => batch.rows().try_for_each(|row| self.take_over_json(row)),
        }
    }

    fn take_over_json(&mut self, row: TableRow<'_>) -> Result<(), ReadStop> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let taken = match ReadRecord::of_row(row, &mut scratch) {
            Ok(record) => self.take_record(record),
            Err(bad) => {
                self.refuse_bad(&bad);
                Ok(())
            }
        };
        self.scratch = scratch;
        taken
    }

    /// Takes rows without a detour, as far as they certainly are valid.
    fn take_straight(
        &mut self,
        batch: RowBatch<'_>,
        way: &mut StraightRows,
    ) -> Result<(), ReadStop> {
        way.read(batch);
        self.ids.prefetch(way.ids());
        for index in 0..batch.len() {
            if !way.fits(index) {
                self.push_fresh(batch, way);
                self.take_over_json(batch.row(index))?;
                continue;
            }
            let sighting = match way.entry(batch, index, &mut self.scratch) {
                None => Sighting::New,
                Some(entry) => look(&mut self.ids, &mut self.got, entry)?,
            };
            match sighting {
                Sighting::New => {
                    self.fresh.push(index);
                    self.got.counts.rows += 1;
                    self.got.tally.add();
                }
                Sighting::Same => {
                    self.got.counts.repeats += 1;
                    self.got.tally.add();
                }
                Sighting::Other => {
                    let row = batch.row(index);
                    self.refuse_conflict(row.line, row.raw, row.heads.line.as_deref());
                }
            }
        }
        self.push_fresh(batch, way);
        Ok(())
    }

    /// Moves rows of a batch that are new to the others by column.
    fn push_fresh(&mut self, batch: RowBatch<'_>, way: &StraightRows) {
        if let (false, Some(typed)) = (self.fresh.is_empty(), &mut self.got.typed) {
            way.push(batch, &self.fresh, &self.of.origin, self.file, typed);
        }
        self.fresh.clear();
    }

    fn take_record(&mut self, record: ReadRecord<'_>) -> Result<(), ReadStop> {
        let file = FromFile {
            place: self.place(record.line, record.header),
            sent: record.sent,
            content: record.content,
        };
        let target = Target {
            partition: &self.of.partition,
            quarantine: &self.of.quarantine,
            is_snapshot: true,
            may_be_older: false,
        };
        let before = (self.got.rows.bytes.len(), self.got.rows.rows.len());
        let entities = &self.plan.entities;
        let taken = entities.take_from(
            record.json.trim_ascii(),
            Some(file),
            &self.of.origin,
            target,
            &mut self.got.rows,
        );
        match taken {
            Taken::Invalid { error, .. } => self.note_refused(record.line, &error),
            Taken::Row {
                id,
                content,
                nulled,
                unfit,
                ..
            } => {
                let sighting = match id {
                    None => Sighting::New,
                    Some(id) => look(&mut self.ids, &mut self.got, IdEntry::new(id, content))?,
                };
                self.place_row(sighting, before)?;
                match sighting {
                    Sighting::New => {
                        self.got.counts.rows += 1;
                        self.got.tally.add();
                        for rule in nulled {
                            *self.got.nulls.entry(rule).or_default() += 1;
                        }
                        for column in unfit {
                            *self.got.unfit.entry(column).or_default() += 1;
                        }
                    }
                    Sighting::Same => {
                        self.got.counts.repeats += 1;
                        self.got.tally.add();
                    }
                    Sighting::Other => {
                        let raw = record.sent.unwrap_or(record.json.as_bytes());
                        self.refuse_conflict(record.line, raw, record.header);
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves the last row to the others by column if rows go there, and takes it away if it is not new; `before` is
    /// where it begins.
    fn place_row(&mut self, sighting: Sighting, before: (usize, usize)) -> Result<(), ReadStop> {
        let Harvest { rows, typed, .. } = &mut self.got;
        if let (Sighting::New, Some(typed)) = (sighting, &mut *typed) {
            typed.push_line(&rows.bytes[before.0..])?;
        }
        if sighting != Sighting::New || typed.is_some() {
            rows.bytes.truncate(before.0);
            rows.rows.truncate(before.1);
        }
        Ok(())
    }

    fn refuse_conflict(&mut self, line: u64, raw: &[u8], header: Option<&str>) {
        let keys: Vec<String> = self.plan.id_keys().map(|key| format!("/{key}")).collect();
        let error = FieldError {
            pointer: keys.join(" "),
            code: "id_conflict",
            detail: "an id that is new, or the same content as before; the first record stays"
                .to_owned(),
        };
        let part = RefusedPart {
            reason: Reason::IdConflict,
            error: &error,
            place: self.place(line, header),
            first: raw,
            bytes: raw.len() as u64,
            hash: xxhash_rust::xxh3::xxh3_128(raw),
        };
        self.refuse(part);
        self.note_refused(line, &error);
    }

    fn refuse_bad(&mut self, bad: &BadRecord) {
        let part = RefusedPart {
            reason: Reason::InvalidRecord,
            error: &bad.error,
            place: self.place(bad.line, bad.header.as_deref()),
            first: &bad.first,
            bytes: bad.bytes,
            hash: bad.hash,
        };
        self.refuse(part);
        self.note_refused(bad.line, &bad.error);
    }

    fn refuse(&mut self, part: RefusedPart<'_>) {
        let entities = &self.plan.entities;
        let (origin, quarantine) = (&self.of.origin, &self.of.quarantine);
        entities.refuse_part(part, origin, quarantine, &mut self.got.rows);
    }

    /// Notes that the last row is one of the quarantine.
    fn note_refused(&mut self, line: u64, error: &FieldError) {
        let got = &mut self.got;
        got.counts.quarantined += 1;
        got.tally.refuse(error);
        got.last_error = Some(error.clone());
        if got.samples.len() < MAX_SAMPLES {
            let FieldError {
                pointer,
                code,
                detail,
            } = error;
            let file = self.file;
            got.samples.push(format!(
                "{file}, line {line}: {code} at {pointer:?}: {detail}"
            ));
        }
        let Some((last, others)) = got.rows.rows.split_last() else {
            return;
        };
        let start = others.last().map_or(0, |row| row.end);
        let row = &got.rows.bytes[start..last.end];
        let bytes = got.evidence.bytes.len() + row.len();
        if got.evidence.rows.len() < MAX_EVIDENCE && bytes <= MAX_EVIDENCE_BYTES {
            got.evidence.bytes.extend_from_slice(row);
            let partition = got.evidence.partition(&self.of.quarantine);
            let kind = RowKind::Quarantined;
            got.evidence.finish_row(last.lsn_at, partition, kind);
        }
    }
}

impl IdsOf<'_> {
    /// Begins to read what the next questions about these ids will read.
    fn prefetch(&self, ids: &[u128]) {
        let known = match self {
            Self::Aside(known) => *known,
            Self::InRun(known) => &**known,
        };
        for id in ids {
            known.prefetch(IdEntry::new(*id, 0));
        }
    }
}

/// What is known of an id, which is known from now on.
fn look(ids: &mut IdsOf<'_>, got: &mut Harvest, entry: IdEntry) -> Result<Sighting, ReadStop> {
    match ids {
        IdsOf::InRun(known) => Ok(known.look_and_add(entry)?),
        IdsOf::Aside(known) => {
            if let Some(own) = got.own_ids.get(entry) {
                return Ok(Sighting::of(own, entry));
            }
            let sighting = known.look(entry)?;
            if sighting == Sighting::New {
                got.own_ids.insert(entry);
            }
            Ok(sighting)
        }
    }
}

#[cfg(test)]
#[path = "taker_tests.rs"]
mod tests;
