//! The report of a replay, as text and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::look::{described, plain};
use crate::out;
use crate::replay::kept::KeptError;
use crate::replay::kinds::{MAX_KINDS, rule_and_place};
use crate::replay::{EventCounts, Skip};

/// How many groups the text lists.
const SHOWN_GROUPS: usize = 20;
/// How many of the rows that were cut are named.
const MAX_NAMED: usize = 20;

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    replayed: Replayed,
    still_invalid: StillInvalid,
    /// How many rows were skipped, by reason.
    skipped: BTreeMap<&'static str, u64>,
    /// The first rows that were cut.
    cut: Vec<Named>,
    /// Whether everything is in the lake. Absent if a service ships it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shipped: Option<bool>,
    #[serde(skip)]
    pub(super) by_service: bool,
}

#[derive(Debug, Default, Serialize)]
struct Replayed {
    rows: u64,
    #[serde(flatten)]
    events: EventCounts,
}

#[derive(Debug, Default, Serialize)]
struct StillInvalid {
    rows: u64,
    errors: Vec<Group>,
    #[serde(skip)]
    groups: BTreeMap<(String, String), Group>,
}

/// Rows whose first error has the same rule and the same place.
#[derive(Clone, Debug, Serialize)]
struct Group {
    code: String,
    pointer: String,
    rows: u64,
    detail: String,
    example: Named,
}

#[derive(Clone, Debug, Serialize)]
struct Named {
    lsn: u64,
    key: String,
}

impl Report {
    pub(super) fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            ..Self::default()
        }
    }

    pub(super) fn replayed(&mut self, counts: EventCounts) {
        self.replayed.rows += 1;
        self.replayed.events = self.replayed.events.plus(counts);
    }

    pub(super) fn skipped(&mut self, skip: Skip, key: &str, lsn: u64) {
        *self.skipped.entry(skip.as_str()).or_default() += 1;
        if skip == Skip::Cut && self.cut.len() < MAX_NAMED {
            let key = key.to_owned();
            self.cut.push(Named { lsn, key });
        }
    }

    pub(super) fn invalid(&mut self, errors: &[KeptError], key: &str, lsn: u64) {
        let invalid = &mut self.still_invalid;
        invalid.rows += 1;
        let first = errors.first();
        let mut kind = rule_and_place(errors);
        if invalid.groups.len() >= MAX_KINDS && !invalid.groups.contains_key(&kind) {
            "(other places)".clone_into(&mut kind.1);
        }
        let group = invalid.groups.entry(kind.clone());
        let group = group.or_insert_with(|| Group {
            code: kind.0,
            pointer: kind.1,
            rows: 0,
            detail: first.map(|error| error.detail.clone()).unwrap_or_default(),
            example: Named {
                lsn,
                key: key.to_owned(),
            },
        });
        group.rows += 1;
    }

    pub(super) fn print(&mut self, as_json: bool) -> anyhow::Result<()> {
        let groups = std::mem::take(&mut self.still_invalid.groups);
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
        self.still_invalid.errors = groups;
        if as_json {
            out::line(serde_json::to_string_pretty(self)?);
        } else {
            self.tell();
        }
        Ok(())
    }

    fn tell(&self) {
        let Replayed { rows, events } = &self.replayed;
        if self.dry_run {
            out::line(format_args!(
                "valid now      {rows} rows: {} events to store, unless they are known; {} dropped by rule",
                events.stored, events.dropped
            ));
        } else {
            out::line(format_args!(
                "replayed       {rows} rows: {}",
                described(events)
            ));
        }
        let invalid = &self.still_invalid;
        out::line(format_args!("still invalid  {} rows", invalid.rows));
        for group in invalid.errors.iter().take(SHOWN_GROUPS) {
            out::line(format_args!(
                "{:>13}  {} at {}: {} (such as LSN {})",
                group.rows,
                group.code,
                plain(&group.pointer),
                plain(&group.detail),
                group.example.lsn
            ));
        }
        if self.by_service && invalid.rows > 0 {
            out::line(format_args!(
                "{:>15}by the schemas that the running service was started with",
                ""
            ));
        }
        let skipped: u64 = self.skipped.values().sum();
        out::line(format_args!("skipped        {skipped} rows"));
        for skip in Skip::ALL {
            if let Some(rows) = self.skipped.get(skip.as_str()) {
                out::line(format_args!("{rows:>13}  {}", skip.describe()));
            }
        }
        for Named { lsn, key } in &self.cut {
            out::line(format_args!("{:>15}LSN {lsn} of {key}", ""));
        }
        if self.dry_run {
            out::line("Nothing was changed: without --dry-run it is done.");
        } else if self.by_service && events.stored > 0 {
            out::line(
                "All of it is in the log of the running service, and in the lake once its batches close.",
            );
        } else if self.shipped == Some(false) {
            out::line(
                "All of it is safe in the log, and not in the lake yet; the next start of the service brings it there.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_names_are_bounded() {
        let mut report = Report::new(false);
        for lsn in 0..2 * MAX_KINDS as u64 {
            let error = KeptError {
                pointer: format!("/p{lsn}/{lsn}"),
                code: "c".to_owned(),
                detail: String::new(),
            };
            report.invalid(&[error], "k", lsn);
            report.skipped(Skip::Cut, "k", lsn);
        }
        assert_eq!(report.still_invalid.rows, 2 * MAX_KINDS as u64);
        assert_eq!(report.still_invalid.groups.len(), MAX_KINDS + 1);
        assert_eq!(report.cut.len(), MAX_NAMED);
        assert_eq!(report.skipped["cut"], 2 * MAX_KINDS as u64);
        let kind = ("c".to_owned(), "/p7/*".to_owned());
        assert_eq!(report.still_invalid.groups[&kind].example.lsn, 7);
    }
}
