//! Which objects have expired: whole days, and runs that no kept marker needs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{Days, Months, NaiveDate};
use serde::Deserialize;

use crate::clock::Micros;
use crate::ids::NodeId;
use crate::lake::keys::{holder_of, in_internal, marker_key, top_folder};

/// The first day that is not older than `age`: everything of earlier days is.
pub fn first_kept_day(now: Micros, age: Duration) -> Option<NaiveDate> {
    now.minus(age).to_utc().map(|time| time.date_naive())
}

/// A run of a snapshot poll: its stream and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId {
    /// The stream that the poll fills.
    pub stream: String,
    /// The run's name; the names of one poll sort by time.
    pub name: String,
}

impl RunId {
    /// The run whose marker has that key.
    pub fn of_marker(key: &str) -> Option<Self> {
        let rest = in_internal(key)?.strip_prefix("runs/")?;
        let (stream, name) = rest.strip_suffix(".json")?.rsplit_once('/')?;
        Some(Self {
            stream: stream.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The run whose rows the object with that key holds; `None` for objects of events and of appending polls.
    pub fn of_object(key: &str) -> Option<Self> {
        let name = key.split('/').find_map(|part| part.strip_prefix("run="))?;
        Some(Self {
            stream: top_folder(key)?.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The key of its marker.
    pub fn marker(&self) -> String {
        marker_key(&self.stream, &self.name)
    }

    /// The node that ran it, and the LSN at which it began.
    fn begun_by(&self) -> Option<(NodeId, u64)> {
        let mut parts = self.name.split('-').skip(1);
        let node = u64::from_str_radix(parts.next()?, 16).ok()?;
        let lsn = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some((NodeId(node), lsn))
    }

    fn day(&self) -> Option<NaiveDate> {
        NaiveDate::parse_from_str(self.name.get(..8)?, "%Y%m%d").ok()
    }
}

/// What a marker says that decides about other runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RunMarker {
    /// The run's name.
    pub run: String,
    /// The earlier run that holds the records, if they had not changed.
    #[serde(default)]
    pub same_as: Option<String>,
}

/// What expires as one: a single object, or a run with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// An object of events, of an appending poll, or of the quarantine.
    Object(String),
    /// A run.
    Run(ExpiringRun),
}

/// A run that expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringRun {
    /// Which run.
    pub id: RunId,
    /// Whether its marker is there.
    pub is_marked: bool,
    /// The earlier run that its marker names.
    pub same_as: Option<RunId>,
    /// The keys of its objects.
    pub objects: Vec<String>,
}

/// What has expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// What expires. A run stands before an earlier one that its marker names.
    pub expiring: Vec<Expiring>,
    /// Objects whose partition names no day.
    pub undated: Vec<String>,
    /// Runs that are old enough and have no marker: it may still come.
    pub unmarked: Vec<RunId>,
}

/// What is in the lake.
#[derive(Clone, Debug, Default)]
pub struct Stocktaking<'a> {
    /// The keys of all objects that no note of a retention lists.
    pub keys: Vec<&'a str>,
    /// The markers among them, by run; `None` for one that cannot be read.
    pub markers: BTreeMap<RunId, Option<RunMarker>>,
    /// Runs whose markers are listed in notes of retentions.
    pub noted_runs: BTreeSet<RunId>,
}

#[derive(Default)]
struct RunParts {
    same_as: Option<String>,
    is_marked: bool,
    objects: Vec<String>,
}

impl Stocktaking<'_> {
    /// What has expired if days from `first_kept` on stay.
    pub fn plan(&self, first_kept: NaiveDate) -> RetentionPlan {
        let mut plan = RetentionPlan::default();
        let mut runs: BTreeMap<RunId, RunParts> = BTreeMap::new();
        for (id, marker) in &self.markers {
            let parts = runs.entry(id.clone()).or_default();
            parts.is_marked = true;
            parts.same_as = marker.as_ref().and_then(|marker| marker.same_as.clone());
        }
        for key in self.keys.iter().filter(|key| holder_of(key).is_some()) {
            if let Some(id) = RunId::of_object(key) {
                runs.entry(id).or_default().objects.push((*key).to_owned());
                continue;
            }
            match last_day_of(key) {
                None => plan.undated.push((*key).to_owned()),
                Some(day) if day < first_kept => {
                    plan.expiring.push(Expiring::Object((*key).to_owned()));
                }
                Some(_) => {}
            }
        }
        self.plan_runs(&runs, first_kept, &mut plan);
        plan
    }

    fn plan_runs(
        &self,
        runs: &BTreeMap<RunId, RunParts>,
        first_kept: NaiveDate,
        plan: &mut RetentionPlan,
    ) {
        let newest = self.newest_runs();
        // A marker that cannot be read may name any run of its stream.
        let unread: BTreeSet<&str> = self
            .markers
            .iter()
            .filter(|(_, marker)| marker.is_none())
            .map(|(id, _)| id.stream.as_str())
            .collect();
        let mut needed: BTreeSet<RunId> = BTreeSet::new();
        let mut expiring = Vec::new();
        // Newest first: a marker names an earlier run.
        for (id, parts) in runs.iter().rev() {
            let is_old = id.day().is_some_and(|day| day < first_kept);
            let is_known = parts.is_marked || self.noted_runs.contains(id);
            if is_old && !is_known {
                plan.unmarked.push(id.clone());
            }
            let same_as = parts.same_as.as_ref().map(|name| RunId {
                stream: id.stream.clone(),
                name: name.clone(),
            });
            let is_kept =
                !is_old || !is_known || newest.contains(id) || unread.contains(id.stream.as_str());
            if is_kept {
                needed.extend(same_as);
                continue;
            }
            expiring.push(ExpiringRun {
                id: id.clone(),
                is_marked: parts.is_marked,
                same_as,
                objects: parts.objects.clone(),
            });
        }
        // What is needed may need another one.
        while let Some(at) = expiring.iter().position(|run| needed.contains(&run.id)) {
            needed.extend(expiring.remove(at).same_as);
        }
        plan.expiring
            .extend(expiring.into_iter().map(Expiring::Run));
    }

    /// The newest run with a marker of each poll and node, and those of which that cannot be said.
    fn newest_runs(&self) -> BTreeSet<&RunId> {
        let mut newest: BTreeMap<(&str, NodeId), (u64, &RunId)> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for id in self.markers.keys() {
            let Some((node, lsn)) = id.begun_by() else {
                kept.insert(id);
                continue;
            };
            let known = newest.entry((&id.stream, node)).or_insert((lsn, id));
            if lsn > known.0 {
                *known = (lsn, id);
            }
        }
        kept.extend(newest.into_values().map(|(_, id)| id));
        kept
    }
}

/// The last day that the rows of an object can belong to, from `dt=` in its key: a day, perhaps with an hour, or a
/// month.
fn last_day_of(key: &str) -> Option<NaiveDate> {
    let text = key.split('/').find_map(|part| part.strip_prefix("dt="))?;
    let is_month = text.len() == 7;
    if is_month {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        return first
            .checked_add_months(Months::new(1))?
            .checked_sub_days(Days::new(1));
    }
    let (day, rest) = text.split_at_checked(10)?;
    let is_plain = rest.is_empty() || rest.starts_with('-');
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    is_plain.then_some(day)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
