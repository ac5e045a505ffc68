//! Judges the records of one file: each becomes a row, a repeat, or a row of the quarantine.

use std::collections::HashMap;

use super::id_file::IdEntry;
use super::known_ids::{KnownIds, Sighting};
use super::plan::FilesPlan;
use super::record::{BadRecord, Part, ReadRecord, ReadStop};
use super::report::{LineCounts, MAX_SAMPLES};
use lakehook_base::clock::Micros;
use lakehook_base::record::{Origin, RowKind, Rows};
use lakehook_contract::entity::{FromFile, Taken, Target};
use lakehook_contract::entity_files::RefusedPart;
use lakehook_contract::quarantine::{FieldError, Reason, RecordPlace};
use lakehook_feeds::guards::Tally;

/// Refused records of a failed file that are kept, and their bytes.
const MAX_EVIDENCE: usize = 20;
const MAX_EVIDENCE_BYTES: usize = 256 << 10;

/// What the rows of a run have in common.
#[derive(Clone, Debug)]
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

/// Where the ids of a file are kept until it is judged.
enum OwnIds {
    /// Aside, since other files of the run must stay if this one fails.
    Aside(HashMap<u128, IdEntry>),
    /// With those of the run, which is void if the file fails.
    InRun,
}

/// Takes the records of one file.
pub(crate) struct Taker<'a> {
    plan: &'a FilesPlan,
    of: &'a RunOrigin,
    ids: &'a mut KnownIds,
    own_ids: OwnIds,
    file: &'a str,
    /// Rows of the stream and of the quarantine that nobody has fetched yet.
    pub(crate) rows: Rows,
    pub(crate) counts: LineCounts,
    pub(crate) tally: Tally,
    /// The first refused records, as rows of the quarantine.
    pub(crate) evidence: Rows,
    pub(crate) samples: Vec<String>,
    /// What was wrong with the last refused record.
    pub(crate) last_error: Option<FieldError>,
    /// How many values rules have made null, by the index of the rule.
    pub(crate) nulls: HashMap<u32, u64>,
    /// How many values do not fit a found column, by its index.
    pub(crate) unfit: HashMap<u32, u64>,
}

impl<'a> Taker<'a> {
    /// For a file; `is_alone` says that its run has no other one.
    pub(crate) fn new(
        plan: &'a FilesPlan,
        of: &'a RunOrigin,
        ids: &'a mut KnownIds,
        file: &'a str,
        is_alone: bool,
    ) -> Self {
        let own_ids = if is_alone {
            OwnIds::InRun
        } else {
            OwnIds::Aside(HashMap::new())
        };
        Self {
            plan,
            of,
            ids,
            own_ids,
            file,
            rows: Rows::default(),
            counts: LineCounts::default(),
            tally: Tally::default(),
            evidence: Rows::default(),
            samples: Vec::new(),
            last_error: None,
            nulls: HashMap::new(),
            unfit: HashMap::new(),
        }
    }

    /// What is to be told of values that do not fit the columns which were found in earlier records.
    pub(crate) fn unfit_values(&self) -> impl Iterator<Item = String> {
        let (live, stream, file) = (self.plan.entities.live(), &self.plan.name, self.file);
        self.unfit.iter().filter_map(move |(index, count)| {
            let column = live?.column(*index)?;
            Some(format!(
                "{file}: {count} values of {} do not fit its column, which holds {}, and stand under extra; a schema says \
                 what a column holds (lakehook schema {stream} prints one to edit)",
                column.name, column.kind
            ))
        })
    }

    /// Takes the next part of the file.
    pub(crate) fn take(&mut self, part: Part<'_>) -> Result<(), ReadStop> {
        self.counts.lines += 1;
        match part {
            Part::Blank => self.counts.blank += 1,
            Part::Bad(bad) => self.refuse_bad(&bad),
            Part::Record(record) => self.take_record(record)?,
        }
        Ok(())
    }

    /// The ids of the file become those of the run.
    pub(crate) fn keep_ids(&mut self) -> std::io::Result<()> {
        if let OwnIds::Aside(own) = &mut self.own_ids {
            for (_, entry) in own.drain() {
                self.ids.add(entry)?;
            }
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
        let before = (self.rows.bytes.len(), self.rows.rows.len());
        let entities = &self.plan.entities;
        let taken = entities.take_from(
            record.json.trim_ascii(),
            Some(file),
            &self.of.origin,
            target,
            &mut self.rows,
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
                    Some(id) => self.look(IdEntry::new(id, content))?,
                };
                if sighting != Sighting::New {
                    self.rows.bytes.truncate(before.0);
                    self.rows.rows.truncate(before.1);
                }
                match sighting {
                    Sighting::New => {
                        self.counts.rows += 1;
                        self.tally.add();
                        for rule in nulled {
                            *self.nulls.entry(rule).or_default() += 1;
                        }
                        for column in unfit {
                            *self.unfit.entry(column).or_default() += 1;
                        }
                    }
                    Sighting::Same => {
                        self.counts.repeats += 1;
                        self.tally.add();
                    }
                    Sighting::Other => self.refuse_conflict(&record),
                }
            }
        }
        Ok(())
    }

    /// What is known of an id, which is known from now on.
    fn look(&mut self, entry: IdEntry) -> Result<Sighting, ReadStop> {
        if let OwnIds::Aside(own) = &self.own_ids
            && let Some(known) = own.get(&entry.id())
        {
            return Ok(if *known == entry {
                Sighting::Same
            } else {
                Sighting::Other
            });
        }
        let sighting = self.ids.look(entry)?;
        if sighting == Sighting::New {
            match &mut self.own_ids {
                OwnIds::Aside(own) => {
                    own.insert(entry.id(), entry);
                }
                OwnIds::InRun => self.ids.add(entry)?,
            }
        }
        Ok(sighting)
    }

    fn refuse_conflict(&mut self, record: &ReadRecord<'_>) {
        let keys: Vec<String> = self.plan.id_keys().map(|key| format!("/{key}")).collect();
        let error = FieldError {
            pointer: keys.join(" "),
            code: "id_conflict",
            detail: "an id that is new, or the same content as before; the first record stays"
                .to_owned(),
        };
        let raw = record.sent.unwrap_or(record.json.as_bytes());
        let part = RefusedPart {
            reason: Reason::IdConflict,
            error: &error,
            place: self.place(record.line, record.header),
            first: raw,
            bytes: raw.len() as u64,
            hash: xxhash_rust::xxh3::xxh3_128(raw),
        };
        self.refuse(part);
        self.note_refused(record.line, &error);
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
        entities.refuse_part(part, origin, quarantine, &mut self.rows);
    }

    /// Notes that the last row is one of the quarantine.
    fn note_refused(&mut self, line: u64, error: &FieldError) {
        self.counts.quarantined += 1;
        self.tally.refuse(error);
        self.last_error = Some(error.clone());
        if self.samples.len() < MAX_SAMPLES {
            let FieldError {
                pointer,
                code,
                detail,
            } = error;
            let file = self.file;
            self.samples.push(format!(
                "{file}, line {line}: {code} at {pointer:?}: {detail}"
            ));
        }
        let Some((last, others)) = self.rows.rows.split_last() else {
            return;
        };
        let start = others.last().map_or(0, |row| row.end);
        let row = &self.rows.bytes[start..last.end];
        let bytes = self.evidence.bytes.len() + row.len();
        if self.evidence.rows.len() < MAX_EVIDENCE && bytes <= MAX_EVIDENCE_BYTES {
            self.evidence.bytes.extend_from_slice(row);
            let partition = self.evidence.partition(&self.of.quarantine);
            let kind = RowKind::Quarantined;
            self.evidence.finish_row(last.lsn_at, partition, kind);
        }
    }
}
