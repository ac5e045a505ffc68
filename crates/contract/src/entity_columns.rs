//! The columns of entities, and how a record is written as a row.

use std::collections::HashMap;

use memchr::memchr2;

use super::column_rules::ColumnRules;
use super::raw::push_raw;
use super::schemas::SchemaError;
use super::strict::unescaped;
use lakehook_base::columns::{self, ColumnType, Dates, Decimal, Kinds};
use lakehook_base::json::{between_quotes, push_json};
use lakehook_base::tables::RESERVED;

/// The columns that a schema declares.
#[derive(Debug)]
pub(super) struct Columns {
    /// The beginning of each column in a row, `"name":`, in order.
    heads: Vec<Vec<u8>>,
    kinds: Vec<ColumnType>,
    by_name: HashMap<String, usize>,
}

/// Checks that the schema allows the values that the rules make.
pub(super) fn check_rules(
    name: &str,
    schema: &str,
    rules: &ColumnRules,
) -> Result<(), SchemaError> {
    let declared = columns::declared(schema, Dates::Typed).map_err(|source| SchemaError::Json {
        name: name.to_owned(),
        source,
    })?;
    for (column, kind) in rules.kinds() {
        let property = declared.iter().find(|own| own.name == column);
        let Some(wanted) = property.map(|own| own.kind) else {
            continue;
        };
        if wanted.in_json() != kind.in_json() && wanted != ColumnType::Json {
            return Err(SchemaError::Schema {
                name: name.to_owned(),
                detail: format!(
                    "the rule of the column {column:?} makes {kind}, which is {} in JSON, and the schema wants {wanted}; \
                     change one of them",
                    kind.in_json()
                ),
            });
        }
    }
    Ok(())
}

pub(super) fn decimals_of(given: &Kinds) -> HashMap<String, Decimal> {
    let decimals = given.iter().filter_map(|(name, kind)| match kind {
        ColumnType::Decimal(size) => Some((name.clone(), *size)),
        _ => None,
    });
    decimals.collect()
}

impl Columns {
    /// The top-level properties of a schema, in the order of its text, and the columns whose type is given.
    pub(super) fn new(
        name: &str,
        text: &str,
        given: &Kinds,
        reserved: &[&str],
    ) -> Result<Self, SchemaError> {
        let declared = columns::of_entities(Some(text), given);
        let declared = declared.map_err(|source| SchemaError::Json {
            name: name.to_owned(),
            source,
        })?;
        let mut own = Self {
            heads: Vec::new(),
            kinds: Vec::new(),
            by_name: HashMap::new(),
        };
        let reserved = [&RESERVED, reserved].concat();
        let mut folded: Vec<String> = reserved.iter().map(|name| (*name).to_owned()).collect();
        for columns::Property {
            name: property,
            kind,
            ..
        } in declared
        {
            let lower = property.to_lowercase();
            if folded.contains(&lower) {
                return Err(SchemaError::Schema {
                    name: name.to_owned(),
                    detail: format!(
                        "the property {property:?} would be a column twice, or one that every row has \
                         ({}), whatever its case; rename it, or leave it out and find it under extra",
                        reserved.join(", ")
                    ),
                });
            }
            folded.push(lower);
            let mut head = Vec::new();
            push_json(&mut head, &property);
            head.push(b':');
            own.by_name.insert(property, own.heads.len());
            own.heads.push(head);
            own.kinds.push(kind);
        }
        Ok(own)
    }

    /// The type of a column; `None` if there is no such column.
    pub(super) fn kind(&self, name: &str) -> Option<ColumnType> {
        Some(self.kinds[*self.by_name.get(name)?])
    }

    /// Appends all columns, and `extra`.
    pub(super) fn write(&self, members: &[(&str, &str)], out: &mut Vec<u8>) {
        let mut values = vec![None; self.heads.len()];
        let mut extra = Vec::new();
        for (key, value) in members {
            match self.by_name.get(&*unescaped(between_quotes(key))) {
                Some(index) => values[*index] = Some(*value),
                None => extra.push((*key, *value)),
            }
        }
        for ((head, kind), value) in self.heads.iter().zip(&self.kinds).zip(values) {
            out.extend_from_slice(head);
            match (kind, value) {
                (ColumnType::Decimal(size), Some(value)) => push_decimal(out, value, *size),
                _ => push_raw(out, value.unwrap_or("null")),
            }
            out.push(b',');
        }
        write_extra(&extra, out);
    }
}

/// Appends a decimal as text, with all its digits: engines read numbers in JSON as doubles, and text as it is.
fn push_decimal(out: &mut Vec<u8>, raw: &str, size: Decimal) {
    match columns::units(raw, size) {
        Some(units) => {
            out.push(b'"');
            out.extend_from_slice(size.text(units).as_bytes());
            out.push(b'"');
        }
        None => push_raw(out, raw),
    }
}

/// The names of the columns that every row of a stream has.
#[derive(Debug)]
pub(super) struct ReservedNames {
    of_stream: &'static [&'static str],
    /// The bit of each length that a name has.
    lengths: u64,
}

impl ReservedNames {
    /// Those of all streams, and these of the stream.
    pub(super) fn new(of_stream: &'static [&'static str]) -> Self {
        let names = RESERVED.iter().chain(of_stream);
        let lengths = names.map(|name| 1 << (name.len() & 63));
        Self {
            of_stream,
            lengths: lengths.fold(0, |all, bit: u64| all | bit),
        }
    }

    /// Whether a key, in quotes, is one of the names, whatever its case.
    fn have(&self, key: &str) -> bool {
        let key = unescaped(between_quotes(key));
        let mut names = RESERVED.iter().chain(self.of_stream);
        if !key.is_ascii() {
            let lower = key.to_lowercase();
            return names.any(|name| **name == lower);
        }
        // Few keys are as long as one of the names.
        self.lengths >> (key.len() & 63) & 1 != 0
            && names.any(|name| name.eq_ignore_ascii_case(&key))
    }
}

/// Appends the keys of a record, whose text was `raw`, as columns, except those with reserved names, which go under
/// `extra`.
pub(super) fn write_own_keys(
    raw: &str,
    members: &[(&str, &str)],
    decimals: &HashMap<String, Decimal>,
    reserved: &ReservedNames,
    out: &mut Vec<u8>,
) {
    let has_line_ends = memchr2(b'\n', b'\r', raw.as_bytes()).is_some();
    let mut extra = Vec::new();
    for (key, value) in members.iter().copied() {
        if reserved.have(key) {
            extra.push((key, value));
            continue;
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        let decimal = if decimals.is_empty() {
            None
        } else {
            decimals.get(&*unescaped(between_quotes(key)))
        };
        match decimal {
            Some(size) => push_decimal(out, value, *size),
            None if has_line_ends => push_raw(out, value),
            None => out.extend_from_slice(value.as_bytes()),
        }
        out.push(b',');
    }
    write_extra(&extra, out);
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
