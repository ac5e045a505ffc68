//! Entities: records that a poll pulls, by a schema of their own.
//!
//! With a schema, the properties that it declares at the top level are the columns, in its order, and
//! everything else in a record goes under `extra`. Without a schema, the keys of a record are its columns. New
//! keys become new columns of the stream. The caller must keep these columns durably before it stores the rows.
//! Either way a row begins with `received_at` at a fixed offset and with a fixed length, so that the time can
//! be written when the rows go to the log ([`stamp`]). Column rules change a record before its schema sees it;
//! the quarantine and the watermark have what was sent.

use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::canonical;
use super::column_rules::{ColumnRules, Nulled};
use super::entity_columns::{Columns, ReservedNames, check_rules, decimals_of, write_own_keys};
use super::faults::{Errors, Faults as _};
pub use super::field_path::FieldPath;
use super::reader::Reader;
use super::schemas::{Schema, SchemaError};
use super::strict::{Scanner, lone_surrogate, unescaped};
use crate::quarantine::{FieldError, MAX_ROW_ERRORS, Reason, RecordPlace, Refused};
use lakehook_base::clock::Micros;
use lakehook_base::columns::{Dates, Decimal, Kinds};
use lakehook_base::json::{Members, between_quotes, push_json, text};
use lakehook_base::record::{Fingerprint, Identity, Origin, RowKind, Rows};
use lakehook_base::tables::LiveShape;

/// Most bytes of a refused record that are kept. Even if every one of them is escaped, the row fits into a
/// frame of the log.
pub(super) const MAX_REFUSED_BYTES: usize = 4 << 20;
/// Every row, including rows of the quarantine, begins with this and the time.
const BEFORE_TIME: &[u8] = b"{\"received_at\":\"";
/// The length of a time as text.
const TIME_BYTES: usize = 27;
/// Used in place of the hash of a schema by streams that have none, whose columns are found in their records.
const FOUND: u64 = 1;

/// Makes the rows of one stream of entities.
#[derive(Debug)]
pub struct Entities {
    pub(super) stream: String,
    pub(super) schema: Option<Schema>,
    pub(super) columns: Option<Columns>,
    pub(super) rules: ColumnRules,
    /// The decimals among the columns, where records have columns of their own.
    decimals: HashMap<String, Decimal>,
    /// The columns that are found in records, where there is no schema.
    live: Option<Arc<LiveShape>>,
    reserved: ReservedNames,
    pub(super) id: Vec<FieldPath>,
    mark: Option<FieldPath>,
    fingerprint: Fingerprint,
    /// Hash of the schema's text and of the rules, to detect changes.
    hash: u64,
}

/// What decides about the columns of a stream, besides its schema.
#[derive(Debug, Default)]
pub struct ColumnSettings {
    /// Rules that change records before the schema sees them.
    pub rules: ColumnRules,
    /// Types of columns that are given, whatever the schema says, those of the rules included.
    pub given: Kinds,
    /// The columns that are found in records, if there is no schema.
    pub live: Option<Arc<LiveShape>>,
    /// Columns that every row has besides those of all streams; a schema may not declare them.
    pub reserved: &'static [&'static str],
}

/// Where a record was read from, and how it was written there, if it was read from a file.
#[derive(Clone, Copy, Debug)]
pub struct FromFile<'a> {
    /// The file and the line.
    pub place: RecordPlace<'a>,
    /// The bytes of the record there, if they are not those of its JSON.
    pub sent: Option<&'a [u8]>,
    /// Hash of what the record says, if it is not that of its JSON.
    pub content: Option<u128>,
}

/// The result for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// A row of the stream.
    Row {
        /// Hash of the record's id, if records have one.
        id: Option<u128>,
        /// Hash of the row of a snapshot without its time; otherwise of what the record says.
        content: u128,
        /// The raw value that watermarks are compared by, if there is one.
        mark: Option<&'a str>,
        /// The columns that rules have made null.
        nulled: Nulled,
        /// The found columns that a value does not fit.
        unfit: Vec<u32>,
    },
    /// A row of the quarantine, because the record broke the contract.
    Invalid {
        /// Hash of the record as it was sent.
        content: u64,
        /// The first error.
        error: FieldError,
    },
}

/// Where the row of a record goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The partition for valid records.
    pub partition: &'a str,
    /// The partition for invalid ones.
    pub quarantine: &'a str,
    /// Whether the rows belong to a snapshot, which keeps all of them. Otherwise duplicates are dropped.
    pub is_snapshot: bool,
    /// Whether an earlier version, which identified records by the bytes of their rows, may have stored
    /// some of them.
    pub may_be_older: bool,
}

impl Entities {
    /// Makes rows for a stream. `schema` is a name for errors and the text.
    pub fn new(
        stream: &str,
        schema: Option<(&str, &str)>,
        id: Vec<FieldPath>,
        mark: Option<FieldPath>,
        fingerprint: Fingerprint,
        settings: ColumnSettings,
    ) -> Result<Self, SchemaError> {
        let ColumnSettings {
            rules,
            given,
            live,
            reserved,
        } = settings;
        let live = live.filter(|_| schema.is_none());
        if let Some(live) = &live {
            for name in reserved {
                live.reserve(name);
            }
            for name in given.keys() {
                live.reserve(name);
            }
        }
        let without_schema = live.as_ref().map_or(0, |_| FOUND);
        let hash = schema.map_or(without_schema, |(_, text)| xxh3_64(text.as_bytes()));
        let hash = hash ^ rules.hash();
        let (schema, columns) = match schema {
            None => (None, None),
            Some((name, text)) => {
                check_rules(name, text, &rules)?;
                let schema = Schema::new(name, text, Dates::Typed, &given)?;
                (
                    Some(schema),
                    Some(Columns::new(name, text, &given, reserved)?),
                )
            }
        };
        Ok(Self {
            stream: stream.to_owned(),
            schema,
            columns,
            decimals: decimals_of(&given),
            live,
            reserved: ReservedNames::new(reserved),
            rules,
            id,
            mark,
            fingerprint,
            hash,
        })
    }

    /// The rules of columns.
    pub fn rules(&self) -> &ColumnRules {
        &self.rules
    }

    /// Whether records have ids.
    pub fn has_ids(&self) -> bool {
        !self.id.is_empty()
    }

    /// The columns that are found in records, where there is no schema. What has grown is kept before rows that
    /// need it are stored.
    pub fn live(&self) -> Option<&LiveShape> {
        self.live.as_deref()
    }

    /// Hash of the schema's text and of the rules.
    pub fn schema_hash(&self) -> u64 {
        self.hash
    }

    /// Adds a row for a record, or a row of the quarantine if the record is invalid. `raw` is a JSON value
    /// without white space around it.
    pub fn take<'a>(
        &self,
        raw: &'a str,
        origin: &Origin,
        target: Target<'_>,
        rows: &mut Rows,
    ) -> Taken<'a> {
        self.take_from(raw, None, origin, target, rows)
    }

    /// Does the same for a record that may have been read from a file: then its row has the place there, and its
    /// content is what it says, whatever its columns are.
    pub fn take_from<'a>(
        &self,
        raw: &'a str,
        file: Option<FromFile<'_>>,
        origin: &Origin,
        target: Target<'_>,
        rows: &mut Rows,
    ) -> Taken<'a> {
        let mut errors = Errors::below(String::new(), MAX_ROW_ERRORS);
        let sent = members_of(raw, &mut errors);
        let mut changed = Vec::new();
        let mut nulled = Nulled::new();
        let members = if self.rules.is_empty() || errors.total() > 0 {
            self.check(raw, &mut errors);
            None
        } else {
            nulled = self.rules.apply(&sent, &mut changed, &mut errors);
            let changed = std::str::from_utf8(&changed).unwrap_or_default();
            self.check(changed, &mut errors);
            Some(serde_json::from_str(changed).map_or(Vec::new(), |Members(members)| members))
        };
        let members = members.as_ref().unwrap_or(&sent);
        let id = self.check_id(members, &mut errors);
        if errors.total() > 0 {
            return self.refuse(raw, &errors, file, origin, target, rows);
        }
        let start = rows.bytes.len();
        rows.bytes.extend_from_slice(BEFORE_TIME);
        origin.received_at.write(&mut rows.bytes);
        rows.bytes.extend_from_slice(b"\",");
        let lsn_at = rows.bytes.len();
        let columns_at = push_place(file, &mut rows.bytes);
        self.write_columns(raw, members, &mut rows.bytes);
        let written = &rows.bytes[columns_at..];
        let content = match file {
            None if target.is_snapshot => xxh3_128(written),
            None => canonical::hash(raw),
            Some(file) => file.content.unwrap_or_else(|| canonical::hash(raw)),
        };
        let kind = if target.is_snapshot {
            RowKind::Snapshot
        } else {
            let content = file.map_or(content, |_| canonical::hash(raw));
            if target.may_be_older {
                let former = self.former_identity(id, written);
                rows.former.push(former);
            }
            RowKind::Record(self.identity(content))
        };
        let partition = rows.partition(target.partition);
        let offset = u32::try_from(lsn_at - start).unwrap_or(u32::MAX);
        rows.finish_row(offset, partition, kind);
        let mark = self.mark.as_ref().and_then(|path| path.find(&sent));
        let named = members
            .iter()
            .map(|(key, raw)| (unescaped(between_quotes(key)), *raw));
        Taken::Row {
            id,
            content,
            mark,
            nulled,
            unfit: self
                .live
                .as_ref()
                .map_or_else(Vec::new, |live| live.note(&named)),
        }
    }

    /// Appends the columns of a record, whose text was `raw`, and what goes under `extra`.
    fn write_columns(&self, raw: &str, members: &[(&str, &str)], out: &mut Vec<u8>) {
        match &self.columns {
            Some(columns) => columns.write(members, out),
            None => write_own_keys(raw, members, &self.decimals, &self.reserved, out),
        }
    }

    /// A changed record counts as a new one, so the content is part of the identity: what was sent, by what
    /// it says. So neither the order of keys nor another schema, nor other rules
    /// of columns, make a record new.
    fn identity(&self, content: u128) -> Identity {
        // Former identities are longer.
        let mut known_by = [2; 17];
        known_by[..16].copy_from_slice(&content.to_le_bytes());
        Identity {
            tag: self.fingerprint.tag(&self.stream, &known_by),
            content: self.fingerprint.content(&known_by, b""),
        }
    }

    /// The identity that earlier versions gave to a record: by the bytes of its row.
    fn former_identity(&self, id: Option<u128>, written: &[u8]) -> Identity {
        let content = self.fingerprint.content(written, b"");
        let mut known_by = [0; 32];
        known_by[..16].copy_from_slice(&id.unwrap_or(0).to_le_bytes());
        known_by[16..].copy_from_slice(&xxh3_128(written).to_le_bytes());
        let tag = self.fingerprint.tag(&self.stream, &known_by);
        Identity { tag, content }
    }

    /// Checks a record against the schema, unless something else is wrong with it.
    fn check(&self, record: &str, errors: &mut Errors) {
        if let Some(schema) = self.schema.as_ref().filter(|_| errors.total() == 0) {
            schema.check(record, "", errors);
        }
    }

    /// Hash of the id, if records have one; of all its parts, if it is composite.
    fn check_id(&self, members: &[(&str, &str)], errors: &mut Errors) -> Option<u128> {
        if errors.total() > 0 {
            return None;
        }
        match self.id.as_slice() {
            [] => None,
            [path] => id_at(path, members, errors),
            paths => {
                let parts = paths.iter().map(|path| id_at(path, members, errors));
                let parts: Vec<u128> = parts.collect::<Option<_>>()?;
                Some(hash_of_parts(&parts))
            }
        }
    }

    /// Adds a row of the quarantine for a record of which only the first bytes are known, and the length
    /// and the hash of all of it.
    pub fn refuse_known(
        &self,
        (first, bytes, hash): (&[u8], u64, u128),
        error: &FieldError,
        origin: &Origin,
        target: Target<'_>,
        rows: &mut Rows,
    ) {
        // The cut may be within a character.
        let whole = std::str::from_utf8(first).map_or_else(|error| error.valid_up_to(), str::len);
        let refused = Refused {
            reason: Reason::InvalidRecord,
            stream: &self.stream,
            origin,
            errors: std::slice::from_ref(error),
            errors_total: 1,
            raw: &first[..if whole == 0 { first.len() } else { whole }],
            max_raw_bytes: usize::MAX,
            hook: None,
            place: None,
        };
        let lsn_at = refused.write_whole(bytes, hash, &mut rows.bytes);
        let partition = rows.partition(target.quarantine);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
    }

    fn refuse(
        &self,
        raw: &str,
        errors: &Errors,
        file: Option<FromFile<'_>>,
        origin: &Origin,
        target: Target<'_>,
        rows: &mut Rows,
    ) -> Taken<'static> {
        let sent = file.and_then(|file| file.sent).unwrap_or(raw.as_bytes());
        let refused = Refused {
            reason: Reason::InvalidRecord,
            stream: &self.stream,
            origin,
            errors: errors.listed(),
            errors_total: errors.total(),
            raw: sent,
            max_raw_bytes: MAX_REFUSED_BYTES,
            hook: None,
            place: file.map(|file| file.place),
        };
        let lsn_at = refused.write(&mut rows.bytes);
        let partition = rows.partition(target.quarantine);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
        Taken::Invalid {
            content: xxh3_64(sent),
            error: errors.listed()[0].clone(),
        }
    }
}

/// Appends where a record was read, and returns where its own columns begin.
fn push_place(file: Option<FromFile<'_>>, out: &mut Vec<u8>) -> usize {
    if let Some(FromFile { place, .. }) = file {
        out.extend_from_slice(b"\"file\":");
        push_json(out, place.file);
        out.extend_from_slice(b",\"line\":");
        out.extend_from_slice(itoa::Buffer::new().format(place.line).as_bytes());
        out.push(b',');
    }
    out.len()
}

/// Hash of the id at a path, or of a part of it.
fn id_at(path: &FieldPath, members: &[(&str, &str)], errors: &mut Errors) -> Option<u128> {
    let found = path.find(members);
    let id = found.filter(|raw| matches!(raw.as_bytes(), [b'"' | b'-' | b'0'..=b'9', ..]));
    let id = id.filter(|raw| *raw != "\"\"");
    let Some(id) = id else {
        let detail = || "an id: text that is not empty, or a number".to_owned();
        errors.add("id", || path.pointer(), detail);
        return None;
    };
    if id.starts_with('"') && text(id).is_none() {
        lone_surrogate(|| path.pointer(), errors);
        return None;
    }
    Some(hash_of_id(id))
}

/// The members of a record; empty if errors prevent reading it.
fn members_of<'a>(raw: &'a str, errors: &mut Errors) -> Vec<(&'a str, &'a str)> {
    if let Some(members) = Reader::raw_members(raw) {
        return members;
    }
    // Something is wrong with it; this finds out what.
    let Members(members) = match serde_json::from_str(raw) {
        Ok(members) => members,
        Err(error) if error.is_data() => {
            errors.add("type", String::new, || "an object".to_owned());
            return Vec::new();
        }
        Err(_) => {
            errors.add("json", String::new, || "JSON".to_owned());
            return Vec::new();
        }
    };
    Scanner::default().scan(raw, &String::new, errors);
    if errors.total() > 0 {
        return Vec::new();
    }
    members
}

/// Hashes an id so that escapes make no difference, and text never equals a number.
fn hash_of_id(raw: &str) -> u128 {
    match text(raw) {
        Some(text) => hash_of_text_id(text.as_bytes()),
        None => hash_of_number_id(raw.as_bytes()),
    }
}

pub(super) fn hash_of_text_id(text: &[u8]) -> u128 {
    xxh3_128(text) ^ 1
}

pub(super) fn hash_of_number_id(digits: &[u8]) -> u128 {
    xxh3_128(digits)
}

/// Hash of an id of several parts.
pub(super) fn hash_of_parts(parts: &[u128]) -> u128 {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    xxh3_128(&bytes)
}

/// Writes the time of receipt into all rows, which [`Entities::take`] must have made.
pub fn stamp(rows: &mut Rows, received_at: Micros) {
    let mut time = Vec::with_capacity(TIME_BYTES);
    received_at.write(&mut time);
    debug_assert_eq!(time.len(), TIME_BYTES, "all times are as long");
    let mut start = 0;
    for row in &rows.rows {
        let at = start + BEFORE_TIME.len();
        debug_assert!(
            rows.bytes[start..row.end].starts_with(BEFORE_TIME),
            "every row begins with its time"
        );
        if let Some(place) = rows.bytes.get_mut(at..at + time.len()) {
            place.copy_from_slice(&time);
        }
        start = row.end;
    }
}

#[cfg(test)]
#[path = "entity_tests.rs"]
mod tests;
