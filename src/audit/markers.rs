//! Checks markers of runs: every object that a marker names must exist, and so must the marker of an earlier
//! run that it names.

use std::collections::HashMap;

use serde::Deserialize;

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
        for object in &marker.objects {
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
