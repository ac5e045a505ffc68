//! The columns of a table, and its rows as JSON.
//!
//! A value of a table is text. It becomes what the schema says of its column, where that can be done without a
//! guess; what cannot be converted stays text, and the schema refuses it. Where a column rule reads a value, the
//! rule gets the text.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xxhash_rust::xxh3::xxh3_128;

use lakehook_base::columns::{ColumnType, Decimal};
use lakehook_base::json::push_json;

/// Most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 4096;

/// What is known of the columns of a table before its header is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableColumns {
    /// The types of columns, in the order of the schema.
    pub(crate) kinds: Vec<(String, ColumnType)>,
    /// The members that column rules read.
    pub(crate) sources: BTreeSet<String>,
    /// Values that stand for null.
    pub(crate) nulls: Vec<Vec<u8>>,
}

/// The columns of one table.
#[derive(Debug)]
pub(crate) struct Heads {
    columns: Vec<Head>,
    /// The columns in the order of their names, so that their order in the file makes no difference.
    by_name: Vec<usize>,
    /// The row that names them.
    pub(crate) line: Option<String>,
    nulls: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Head {
    name: String,
    /// The beginning of its member: `"name":`.
    beginning: Vec<u8>,
    /// Its name and a zero.
    said: Vec<u8>,
    form: CellForm,
}

/// How a value is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellForm {
    Text,
    Integer,
    Double,
    Decimal(Decimal),
    Boolean,
}

/// Two names that differ only in this are one: case, and what stands between words.
fn folded(name: &str) -> String {
    let words = name.split(|c: char| c.is_whitespace() || c == '_' || c == '-');
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("_")
}

impl TableColumns {
    /// The columns that a header names. A name that the schema or a rule has with other case or blanks is theirs.
    pub(crate) fn named(&self, names: &[&str], line: &str) -> Result<Heads, String> {
        let own = self.kinds.iter().map(|(name, _)| name).chain(&self.sources);
        let mut known: HashMap<String, BTreeSet<&str>> = HashMap::new();
        for name in own {
            known.entry(folded(name)).or_default().insert(name);
        }
        let resolved = names.iter().enumerate().map(|(index, name)| {
            let name = name.trim();
            if name.is_empty() {
                return format!("column{}", index + 1);
            }
            let alike = known.get(&folded(name));
            match alike.map(|alike| alike.iter().copied().collect::<Vec<_>>()) {
                Some(alike) if alike.contains(&name) => name.to_owned(),
                Some(alike) if alike.len() == 1 => alike[0].to_owned(),
                _ => name.to_owned(),
            }
        });
        let mut seen = BTreeMap::new();
        let resolved: Vec<String> = resolved.collect();
        for (index, name) in resolved.iter().enumerate() {
            if let Some(before) = seen.insert(name.to_lowercase(), index) {
                let (before, number) = (before + 1, index + 1);
                return Err(format!(
                    "the columns {before} and {number} have one name, {name:?}; expected each name once, whatever its case"
                ));
            }
        }
        Ok(self.heads(resolved, Some(line.to_owned())))
    }

    /// The columns of a table without a header: those of the schema in their order, or else by number.
    pub(crate) fn numbered(&self, count: usize) -> Heads {
        let names = (0..count).map(|index| match self.kinds.get(index) {
            Some((name, _)) if self.kinds.len() == count => name.clone(),
            _ => format!("column{}", index + 1),
        });
        self.heads(names.collect(), None)
    }

    fn heads(&self, names: Vec<String>, line: Option<String>) -> Heads {
        let columns = names.into_iter().map(|name| {
            let mut head = Vec::new();
            push_json(&mut head, &name);
            head.push(b':');
            let form = self.form_of(&name);
            Head {
                said: [name.as_bytes(), &[0]].concat(),
                name,
                beginning: head,
                form,
            }
        });
        let columns: Vec<Head> = columns.collect();
        let mut by_name: Vec<usize> = (0..columns.len()).collect();
        by_name.sort_by(|a, b| columns[*a].name.cmp(&columns[*b].name));
        Heads {
            columns,
            by_name,
            line,
            nulls: self.nulls.clone(),
        }
    }

    fn form_of(&self, name: &str) -> CellForm {
        if self.sources.contains(name) {
            return CellForm::Text;
        }
        let kind = self.kinds.iter().find(|(own, _)| own == name);
        match kind.map(|(_, kind)| *kind) {
            Some(ColumnType::Integer) => CellForm::Integer,
            Some(ColumnType::Double) => CellForm::Double,
            Some(ColumnType::Decimal(size)) => CellForm::Decimal(size),
            Some(ColumnType::Boolean) => CellForm::Boolean,
            _ => CellForm::Text,
        }
    }
}

impl Heads {
    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The names of the columns, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether a value stands for null.
    pub(crate) fn is_null(&self, value: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == value)
    }

    /// Writes a row as an object, or says what is wrong with it. `cell` gives the value of each column.
    pub(crate) fn write<'c>(
        &self,
        cell: impl Fn(usize) -> &'c [u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        out.clear();
        out.push(b'{');
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.beginning);
            let bytes = cell(index);
            if self.is_null(bytes) {
                out.extend_from_slice(b"null");
                continue;
            }
            let text = std::str::from_utf8(bytes).map_err(|_| "values in UTF-8")?;
            column.form.write(text, out);
        }
        out.push(b'}');
        Ok(())
    }

    /// Hash of what a row says: the names and texts of its values, whatever their order and their types.
    pub(crate) fn content<'c>(
        &self,
        cell: impl Fn(usize) -> &'c [u8],
        scratch: &mut Vec<u8>,
    ) -> u128 {
        let mut end = 0;
        for index in &self.by_name {
            let bytes = cell(*index);
            if !self.is_null(bytes) {
                let said = &self.columns[*index].said;
                let needed = end + said.len() + bytes.len() + 1;
                if scratch.len() < needed {
                    scratch.resize(needed * 2, 0);
                }
                copy(said, &mut scratch[end..]);
                copy(bytes, &mut scratch[end + said.len()..]);
                scratch[needed - 1] = 0;
                end = needed;
            }
        }
        xxh3_128(&scratch[..end])
    }
}

/// Copies bytes to where there is room for them. Most are so few that a call would take longer than two moves.
fn copy(from: &[u8], to: &mut [u8]) {
    let to = &mut to[..from.len()];
    let is_done = copy_twice::<8>(from, to)
        || copy_twice::<4>(from, to)
        || copy_twice::<2>(from, to)
        || copy_twice::<1>(from, to);
    if !is_done {
        to.copy_from_slice(from);
    }
}

/// Copies the first and the last `N` bytes, if these are all; they may overlap.
fn copy_twice<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return false;
    };
    if from.len() > 2 * N {
        return false;
    }
    to[..N].copy_from_slice(first);
    to[from.len() - N..].copy_from_slice(last);
    true
}

impl CellForm {
    fn write(self, text: &str, out: &mut Vec<u8>) {
        let is_written = match self {
            Self::Text => false,
            Self::Integer => push_integer(text, out),
            Self::Double => push_number(text, out),
            Self::Decimal(size) => size.units(text).is_some() && push_number(text, out),
            Self::Boolean => push_boolean(text, out),
        };
        if !is_written {
            push_text(text, out);
        }
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        push_json(out, text);
    }
}

/// Digits with a sign or without; leading zeros mean nothing in a number.
fn push_integer(text: &str, out: &mut Vec<u8>) -> bool {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    if digits != "0" {
        out.extend_from_slice(sign.as_bytes());
    }
    out.extend_from_slice(digits.as_bytes());
    true
}

/// A number as it is written in most places: `12`, `-1.50`, `.5`, `1e-3`.
fn push_number(text: &str, out: &mut Vec<u8>) -> bool {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let has_exponent = bare.is_none_or(|bare| !bare.is_empty() && is_digits(bare));
    if whole.len() + fraction.len() == 0
        || !is_digits(whole)
        || !is_digits(fraction)
        || !has_exponent
    {
        return false;
    }
    out.extend_from_slice(sign.as_bytes());
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
    if let Some(exponent) = exponent {
        out.push(b'e');
        out.extend_from_slice(exponent.as_bytes());
    }
    true
}

fn push_boolean(text: &str, out: &mut Vec<u8>) -> bool {
    for word in ["true", "false"] {
        if text.eq_ignore_ascii_case(word) {
            out.extend_from_slice(word.as_bytes());
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn columns() -> TableColumns {
        let kinds = [
            ("claim_id", ColumnType::Text),
            ("count", ColumnType::Integer),
            ("price", ColumnType::Double),
            ("paid", ColumnType::Boolean),
        ];
        TableColumns {
            kinds: kinds.map(|(name, kind)| (name.to_owned(), kind)).to_vec(),
            sources: BTreeSet::from(["Amount".to_owned()]),
            nulls: vec![Vec::new(), b"NULL".to_vec()],
        }
    }

    fn written(heads: &Heads, cells: &[&'static str]) -> String {
        let mut out = Vec::new();
        heads
            .write(|index| cells[index].as_bytes(), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_become_what_the_schema_says() {
        let heads = columns()
            .named(&["claim_id", "count", "price", "paid", "amount"], "")
            .unwrap();
        for (cells, expected) in [
            (
                ["007", "007", "1.50", "True", "$1"],
                r#"{"claim_id":"007","count":7,"price":1.50,"paid":true,"Amount":"$1"}"#,
            ),
            (
                ["a\"b", "-0", ".5", "FALSE", "NULL"],
                r#"{"claim_id":"a\"b","count":0,"price":0.5,"paid":false,"Amount":null}"#,
            ),
            (
                ["", "1.0", "NaN", "yes", " "],
                r#"{"claim_id":null,"count":"1.0","price":"NaN","paid":"yes","Amount":" "}"#,
            ),
            (
                ["x", "+12", "-1e-3", "1", ""],
                r#"{"claim_id":"x","count":12,"price":-1e-3,"paid":"1","Amount":null}"#,
            ),
        ] {
            assert_eq!(written(&heads, &cells), expected);
        }
    }

    #[test]
    fn names_are_matched_whatever_their_case_and_blanks() {
        let columns = columns();
        let heads = columns
            .named(&[" Claim ID ", "COUNT", "", "Other Name"], "h")
            .unwrap();
        let text = written(&heads, &["a", "1", "b", "c"]);
        assert_eq!(
            text,
            r#"{"claim_id":"a","count":1,"column3":"b","Other Name":"c"}"#
        );
        for twice in [["a", "A"], ["claim_id", "Claim-Id"]] {
            let error = columns.named(&twice, "").unwrap_err();
            assert!(error.contains("columns 1 and 2 have one name"), "{error}");
        }
        let numbered = columns.numbered(4);
        assert!(
            written(&numbered, &["a", "1", "2", "true"])
                .starts_with(r#"{"claim_id":"a","count":1"#)
        );
        assert_eq!(written(&columns.numbered(1), &["a"]), r#"{"column1":"a"}"#);
    }

    #[test]
    fn content_is_what_a_row_says() {
        let columns = columns();
        let one = columns.named(&["claim_id", "count", "x"], "").unwrap();
        let other = columns.named(&["COUNT", "Claim_id"], "").unwrap();
        let hash = |heads: &Heads, cells: &[&'static str]| {
            heads.content(|index| cells[index].as_bytes(), &mut Vec::new())
        };
        assert_eq!(hash(&one, &["a", "1", ""]), hash(&other, &["1", "a"]));
        assert_ne!(hash(&one, &["a", "1", ""]), hash(&other, &["2", "a"]));
        assert_ne!(hash(&one, &["a", "1", ""]), hash(&one, &["1", "a", ""]));
        // Id files of earlier versions have hashes of these bytes.
        let text = "claim_id and its value, which may be as long as this one";
        for length in 0..text.len() {
            let (name, value) = (format!("x{}", &text[length..]), &text[..length]);
            let heads = columns.named(&["count", &name], "").unwrap();
            let mut said = b"count\x007\0".to_vec();
            if !value.is_empty() {
                said.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
            }
            assert_eq!(hash(&heads, &["7", value]), xxh3_128(&said));
        }
    }
}
