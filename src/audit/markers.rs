//! Checks markers of runs: every object that a marker names must exist, and so must the marker of an earlier
//! run that it names.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::object::AuditedObject;
use super::report::Discrepancy;

/// The contents of a run's marker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Marker {
    /// The marker's key.
    #[serde(skip)]
    pub key: String,
    /// The stream that the poll fills.
    pub stream: String,
    /// The run's name.
    pub run: String,
    /// An earlier run that holds the same rows.
    pub same_as: Option<String>,
    /// The run's objects.
    pub objects: Vec<Marked>,
    /// Objects whose rows did not pass the log.
    #[serde(default)]
    pub parcels: Vec<Marked>,
    /// Number of rows.
    #[serde(default)]
    pub records: u64,
    /// Number of records in the quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// Number of lines of files, if the run has read files.
    #[serde(default)]
    pub lines: Option<u64>,
    /// Number of records that were known.
    #[serde(default)]
    pub repeats: u64,
    /// Number of lines with nothing on them.
    #[serde(default)]
    pub blank: u64,
}

/// The runs of files, added up: `lines = rows + repeats + quarantined + blank`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileProof {
    /// Number of runs.
    pub runs: u64,
    /// Number of objects whose rows did not pass a log.
    pub parcels: u64,
    /// Number of lines that were read.
    pub lines: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of records that were known.
    pub repeats: u64,
    /// Number of records in the quarantine.
    pub quarantined: u64,
    /// Number of lines with nothing on them.
    pub blank: u64,
}

/// An object that a marker names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Marked {
    /// The object's key.
    pub key: String,
    /// How many rows it has.
    pub records: u64,
}

/// What was refused expires by its day, also where the run that refused it stays.
const QUARANTINE: &str = "quarantine/";

/// Compares markers with what is there, and returns how many runs are visible.
pub fn judge_markers(
    markers: &[Marker],
    objects: &[AuditedObject],
    found: &mut Vec<Discrepancy>,
) -> u64 {
    let there: HashMap<&str, &AuditedObject> = objects
        .iter()
        .filter(|object| !object.expired || object.key.starts_with(QUARANTINE))
        .map(|object| (object.key.as_str(), object))
        .collect();
    let mut visible = 0;
    for marker in markers {
        let mut wrong = |what: String| {
            found.push(Discrepancy {
                node: None,
                key: Some(marker.key.clone()),
                what,
            });
        };
        visible += 1;
        for object in marker.objects.iter().chain(&marker.parcels) {
            let count = there.get(object.key.as_str());
            let count = count.map(|there| there.stamp.as_ref().ok().map(|stamp| stamp.count));
            match count {
                None => wrong(format!("its object {} is missing", object.key)),
                Some(count) if count != Some(object.records) => {
                    wrong(format!(
                        "its object {} has another number of rows",
                        object.key
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(run) = &marker.same_as {
            let earlier = |other: &&Marker| other.stream == marker.stream && other.run == *run;
            if !markers.iter().any(|other| earlier(&other)) {
                wrong(format!("the run {run} that it names has no marker"));
            }
        }
    }
    visible
}

/// Adds up the runs of files, and names the parcels that no marker names: those of runs that broke off, and of runs
/// that are under way.
pub fn judge_parcels(
    markers: &[Marker],
    objects: &[AuditedObject],
    found: &mut Vec<Discrepancy>,
) -> (FileProof, Vec<String>) {
    let mut proof = FileProof::default();
    for marker in markers {
        let Some(lines) = marker.lines else { continue };
        let parcels: u64 = marker.parcels.iter().map(|parcel| parcel.records).sum();
        let mut wrong = |what: String| {
            found.push(Discrepancy::of_object(None, &marker.key, what));
        };
        let accounted = marker.records + marker.repeats + marker.quarantined + marker.blank;
        if accounted != lines {
            wrong(format!(
                "{lines} lines were read and {accounted} are accounted for"
            ));
        }
        if parcels != marker.records {
            wrong(format!(
                "it has {} rows, and its parcels have {parcels}",
                marker.records
            ));
        }
        proof.runs += 1;
        proof.parcels += marker.parcels.len() as u64;
        proof.lines += lines;
        proof.rows += marker.records;
        proof.repeats += marker.repeats;
        proof.quarantined += marker.quarantined;
        proof.blank += marker.blank;
    }
    let named: HashSet<&str> = markers
        .iter()
        .flat_map(|marker| &marker.parcels)
        .map(|parcel| parcel.key.as_str())
        .collect();
    let is_parcel = |object: &&AuditedObject| {
        let stamp = object.stamp.as_ref();
        !object.expired && stamp.is_ok_and(|stamp| stamp.parcel_of.is_some())
    };
    let void = objects.iter().filter(is_parcel);
    let void = void.filter(|object| !named.contains(object.key.as_str()));
    (proof, void.map(|object| object.key.clone()).collect())
}
