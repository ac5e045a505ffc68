//! What the marker of a run of files says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::Outcome;
use super::parcel::Parcel;
use super::report::LineCounts;

/// A file as the marker names it.
#[derive(Serialize)]
pub(crate) struct MarkedFile<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) xxh3: Option<String>,
    pub(crate) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<LineCounts>,
}

/// Rows that are not visible any more, because their file was replaced.
#[derive(Serialize)]
pub(crate) struct Replaced {
    pub(crate) file: String,
    pub(crate) run: String,
}

/// What the marker says, apart from the objects that passed the log.
#[derive(Serialize)]
pub(crate) struct About<'a> {
    pub(crate) version: u32,
    pub(crate) stream: &'a str,
    pub(crate) run: &'a str,
    pub(crate) started_at: String,
    pub(crate) ended_at: String,
    pub(crate) records: u64,
    pub(crate) quarantined: u64,
    pub(crate) lines: u64,
    pub(crate) repeats: u64,
    pub(crate) blank: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) nulls: &'a BTreeMap<String, u64>,
    /// The earlier run that still is the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) same_as: Option<&'a String>,
    pub(crate) parcels: &'a [Parcel],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) replaced: &'a [Replaced],
}
