//! The rules of `[poll.NAME.columns]` and `[files.NAME.columns]`, and the keys of their hashes.

use std::collections::BTreeMap;
use std::path::Path;

use super::findings::Findings;
use super::poll_columns::{Column, rules};
use crate::columns::ColumnType;
use crate::contract::column_rules::ColumnRules;
use crate::secret::Secret;

/// Fewer bytes make a key that can be guessed.
const MIN_KEY_BYTES: usize = 16;

/// Reads the keys of hashes from their files.
pub(super) fn read_keys(
    section: &str,
    columns: &mut BTreeMap<String, Column>,
    findings: &mut Findings<'_>,
    read: fn(&Path, &str, &mut Findings<'_>) -> Option<Secret>,
) {
    for (name, column) in columns {
        if let Some(path) = &column.key_file {
            let key = format!("{section}.columns.{name}.key_file");
            column.key = read(path, &key, findings);
        }
    }
}

/// Checks the rules of the columns of a section.
pub(super) fn check(
    section: &str,
    columns: &BTreeMap<String, Column>,
    findings: &mut Findings<'_>,
) {
    for (column, settings) in columns {
        let key = |key: &str| format!("{section}.columns.{column}.{key}");
        if let Some(word) = &settings.r#type
            && ColumnType::parse(word).is_none()
        {
            let rule = "must be one of text, integer, double, boolean, date, time, json, or decimal(p,s) with at most 38 \
                        digits, such as \"decimal(12,2)\"";
            findings.problem(&[&key("type")], rule);
        }
        match (settings.hash, &settings.key_file) {
            (Some(_), None) => findings.problem(
                &[&key("hash")],
                "key_file must name the file of the hash's key, so that nobody finds the text by trying",
            ),
            (None, Some(_)) => {
                findings.problem(&[&key("key_file")], "means nothing without hash; remove it");
            }
            _ => {}
        }
        if let Some(secret) = &settings.key
            && secret.expose().len() < MIN_KEY_BYTES
        {
            let rule = format!("the key must have at least {MIN_KEY_BYTES} characters");
            findings.problem(&[&key("key_file")], rule);
        }
    }
    let errors = ColumnRules::new(&rules(columns)).err();
    for error in errors.unwrap_or_default() {
        let key = format!("{section}.columns.{}.{}", error.column, error.key);
        let of_column = format!("{section}.columns.{}", error.column);
        findings.problem(&[&key, &of_column], error.rule);
    }
}
