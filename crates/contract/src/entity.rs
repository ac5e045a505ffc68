//! Entities: records that a poll pulls, by a schema of their own.
//!
//! With a schema, the properties that it declares at the top level are the columns, in its order, and
//! everything else in a record goes under `extra`. Without a schema, the keys of a record are its columns.
//! Either way a row begins with `received_at` at a fixed offset and with a fixed length, so that the time can
//! be written when the rows go to the log ([`stamp`]).

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::canonical;
use super::faults::{Errors, Faults as _};
use super::pointer::{self, segment};
use super::raw::push_raw;
use super::schemas::{Schema, SchemaError};
use super::strict::{Scanner, lone_surrogate, unescaped};
use crate::quarantine::{FieldError, MAX_ROW_ERRORS, Reason, Refused};
use lakehook_base::clock::Micros;
use lakehook_base::columns;
use lakehook_base::json::{Members, between_quotes, push_json, text};
use lakehook_base::record::{Fingerprint, Identity, Origin, RowKind, Rows};

/// Columns that every row has; keys of a record with these names go under `extra`.
const RESERVED: [&str; 5] = ["received_at", "lsn", "dt", "run", "extra"];
/// Every row, including rows of the quarantine, begins with this and the time.
const BEFORE_TIME: &[u8] = b"{\"received_at\":\"";
/// The length of a time as text.
const TIME_BYTES: usize = 27;

/// The path to a value in a record: the keys that lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Reads a JSON Pointer (RFC 6901), which begins with a slash, or the name of a key.
    pub fn new(text: &str) -> Self {
        Self(pointer::parse(text).unwrap_or_else(|| vec![text.to_owned()]))
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The path as a JSON Pointer.
    fn pointer(&self) -> String {
        self.0.iter().map(|key| segment(key)).collect()
    }

    /// The raw value at the path.
    fn find<'a>(&self, members: &[(&'a str, &'a str)]) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        let own = members
            .iter()
            .find(|(key, _)| text(key).is_some_and(|key| *key == **first));
        let mut value = own?.1;
        for key in rest {
            let Members(inner) = serde_json::from_str(value).ok()?;
            let own = inner
                .iter()
                .find(|(raw, _)| text(raw).is_some_and(|own| *own == **key));
            value = own?.1;
        }
        Some(value)
    }
}

/// Makes the rows of one stream of entities.
#[derive(Debug)]
pub struct Entities {
    stream: String,
    schema: Option<Schema>,
    columns: Option<Columns>,
    id: Option<FieldPath>,
    mark: Option<FieldPath>,
    fingerprint: Fingerprint,
    /// Hash of the schema's text, to detect changes.
    hash: u64,
}

/// The columns that a schema declares.
#[derive(Debug)]
struct Columns {
    /// The beginning of each column in a row, `"name":`, in order.
    heads: Vec<Vec<u8>>,
    by_name: HashMap<String, usize>,
}

/// The result for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// A row of the stream.
    Row {
        /// Hash of the record's id, if records have one.
        id: Option<u128>,
        /// Hash of the row without its time.
        content: u128,
        /// The raw value that watermarks are compared by, if there is one.
        mark: Option<&'a str>,
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
        id: Option<FieldPath>,
        mark: Option<FieldPath>,
        fingerprint: Fingerprint,
    ) -> Result<Self, SchemaError> {
        let hash = schema.map_or(0, |(_, text)| xxh3_64(text.as_bytes()));
        let (schema, columns) = match schema {
            None => (None, None),
            Some((name, text)) => {
                let schema = Schema::new(name, text)?;
                (Some(schema), Some(Columns::new(name, text)?))
            }
        };
        Ok(Self {
            stream: stream.to_owned(),
            schema,
            columns,
            id,
            mark,
            fingerprint,
            hash,
        })
    }

    /// Hash of the schema's text; 0 without a schema.
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
        let mut errors = Errors::below(String::new(), MAX_ROW_ERRORS);
        let members = self.members(raw, &mut errors);
        let id = self.check_id(&members, &mut errors);
        if errors.total() > 0 {
            return self.refuse(raw, &errors, origin, target, rows);
        }
        let start = rows.bytes.len();
        rows.bytes.extend_from_slice(BEFORE_TIME);
        origin.received_at.write(&mut rows.bytes);
        rows.bytes.extend_from_slice(b"\",");
        let lsn_at = rows.bytes.len();
        match &self.columns {
            Some(columns) => columns.write(&members, &mut rows.bytes),
            None => write_own_keys(&members, &mut rows.bytes),
        }
        let written = &rows.bytes[lsn_at..];
        let content = xxh3_128(written);
        let id = id.map(hash_of_id);
        let kind = if target.is_snapshot {
            RowKind::Snapshot
        } else {
            let content = canonical::hash(raw);
            if target.may_be_older {
                let former = self.former_identity(id, written);
                rows.former.push(former);
            }
            RowKind::Record(self.identity(id, content))
        };
        let partition = rows.partition(target.partition);
        let offset = u32::try_from(lsn_at - start).unwrap_or(u32::MAX);
        rows.finish_row(offset, partition, kind);
        let mark = self.mark.as_ref().and_then(|path| path.find(&members));
        Taken::Row { id, content, mark }
    }

    /// A changed record counts as a new one, so the content is part of the identity: what was sent, by what
    /// it says. So neither the order of keys nor another schema makes a record new.
    fn identity(&self, id: Option<u128>, content: u128) -> Identity {
        let mut known_by = [0; 33];
        known_by[..16].copy_from_slice(&id.unwrap_or(0).to_le_bytes());
        known_by[16..32].copy_from_slice(&content.to_le_bytes());
        // Former identities are shorter.
        known_by[32] = 2;
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

    /// The members of a record; empty if errors prevent reading it.
    fn members<'a>(&self, raw: &'a str, errors: &mut Errors) -> Vec<(&'a str, &'a str)> {
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
        if let Some(schema) = &self.schema {
            schema.check(raw, "", errors);
        }
        members
    }

    /// The raw id, if records have one.
    fn check_id<'a>(&self, members: &[(&'a str, &'a str)], errors: &mut Errors) -> Option<&'a str> {
        let path = self.id.as_ref().filter(|_| errors.total() == 0)?;
        let found = path.find(members);
        let id = found.filter(|raw| matches!(raw.as_bytes(), [b'"' | b'-' | b'0'..=b'9', ..]));
        let id = id.filter(|raw| *raw != "\"\"");
        if id.is_none() {
            let detail = || "an id: text that is not empty, or a number".to_owned();
            errors.add("id", || path.pointer(), detail);
        } else if id.is_some_and(|raw| raw.starts_with('"') && text(raw).is_none()) {
            lone_surrogate(|| path.pointer(), errors);
        }
        id
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
        };
        let lsn_at = refused.write_whole(bytes, hash, &mut rows.bytes);
        let partition = rows.partition(target.quarantine);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
    }

    fn refuse(
        &self,
        raw: &str,
        errors: &Errors,
        origin: &Origin,
        target: Target<'_>,
        rows: &mut Rows,
    ) -> Taken<'static> {
        let refused = Refused {
            reason: Reason::InvalidRecord,
            stream: &self.stream,
            origin,
            errors: errors.listed(),
            errors_total: errors.total(),
            raw: raw.as_bytes(),
            max_raw_bytes: usize::MAX,
        };
        let lsn_at = refused.write(&mut rows.bytes);
        let partition = rows.partition(target.quarantine);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
        Taken::Invalid {
            content: xxh3_64(raw.as_bytes()),
            error: errors.listed()[0].clone(),
        }
    }
}

/// Hashes an id so that escapes make no difference, and text never equals a number.
fn hash_of_id(raw: &str) -> u128 {
    match text(raw) {
        Some(text) => xxh3_128(text.as_bytes()) ^ 1,
        None => xxh3_128(raw.as_bytes()),
    }
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

impl Columns {
    /// The top-level properties of a schema, in the order of its text.
    fn new(name: &str, text: &str) -> Result<Self, SchemaError> {
        let declared = columns::declared(text).map_err(|source| SchemaError::Json {
            name: name.to_owned(),
            source,
        })?;
        let mut own = Self {
            heads: Vec::new(),
            by_name: HashMap::new(),
        };
        let mut folded: Vec<String> = RESERVED.map(str::to_owned).to_vec();
        for columns::Property { name: property, .. } in declared {
            let lower = property.to_lowercase();
            if folded.contains(&lower) {
                return Err(SchemaError::Schema {
                    name: name.to_owned(),
                    detail: format!(
                        "the property {property:?} would be a column twice, or one that every row has \
                         ({}), whatever its case; rename it, or leave it out and find it under extra",
                        RESERVED.join(", ")
                    ),
                });
            }
            folded.push(lower);
            let mut head = Vec::new();
            push_json(&mut head, &property);
            head.push(b':');
            own.by_name.insert(property, own.heads.len());
            own.heads.push(head);
        }
        Ok(own)
    }

    /// Appends all columns, and `extra`.
    fn write(&self, members: &[(&str, &str)], out: &mut Vec<u8>) {
        let mut values = vec![None; self.heads.len()];
        let mut extra = Vec::new();
        for (key, value) in members {
            match self.by_name.get(&*unescaped(between_quotes(key))) {
                Some(index) => values[*index] = Some(*value),
                None => extra.push((*key, *value)),
            }
        }
        for (head, value) in self.heads.iter().zip(values) {
            out.extend_from_slice(head);
            push_raw(out, value.unwrap_or("null"));
            out.push(b',');
        }
        write_extra(&extra, out);
    }
}

/// Appends the keys of a record as columns, except those with reserved names, which go under `extra`.
fn write_own_keys(members: &[(&str, &str)], out: &mut Vec<u8>) {
    let is_reserved = |key: &str| {
        let key = unescaped(between_quotes(key)).to_lowercase();
        RESERVED.contains(&key.as_str())
    };
    let (reserved, own): (Vec<_>, Vec<_>) = members
        .iter()
        .copied()
        .partition(|(key, _)| is_reserved(key));
    for (key, value) in own {
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        push_raw(out, value);
        out.push(b',');
    }
    write_extra(&reserved, out);
}

fn write_extra(members: &[(&str, &str)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"extra\":");
    if members.is_empty() {
        out.extend_from_slice(b"null}");
        return;
    }
    let mut separator = b'{';
    for (key, value) in members {
        out.push(separator);
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        push_raw(out, value);
        separator = b',';
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
#[path = "entity_tests.rs"]
mod tests;
