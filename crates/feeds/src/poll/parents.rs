//! Parents: the records of another poll, for each of which a poll reads its own.
//!
//! The parents are those that readers of the lake see when the run begins: of a snapshot, the records
//! of the last run whose marker is there; of an appending poll, those of all rows. Only their keys are
//! kept, each once, in an order that is the same as long as the parents are.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::each::{Each, Parent};
use super::job::Job;
use crate::errors::RunError;
use lakehook_lake::encode::ObjectReader;
use lakehook_lake::keys;
use lakehook_lake::reader::{LakeReadError, LakeReader};

/// Most bytes of all keys of parents.
const MAX_KEY_BYTES: usize = 64 << 20;

/// The parents of one run.
#[derive(Debug, Default)]
pub struct Parents {
    all: Vec<Parent>,
    next: usize,
    /// Hash of the parents before the next one.
    chain: u64,
}

/// The part of a marker that says where a run's rows are.
#[derive(Deserialize)]
struct Marker {
    same_as: Option<String>,
    objects: Vec<Marked>,
}

#[derive(Deserialize)]
struct Marked {
    key: String,
}

impl Parents {
    /// Reads the keys of all parents from the lake.
    pub(super) fn load(job: &Job<'_>, each: &Each) -> Result<Self, RunError> {
        let lake = job.lake.ok_or_else(|| {
            RunError::Failed(format!("the lake cannot be read, and with it {}", each.of))
        })?;
        let reading = Reading { job, each, lake };
        let (mut all, mut seen, mut bytes) = (Vec::new(), HashSet::new(), 0);
        let mut rows = 0_u64;
        for key in reading.objects()? {
            reading.rows(&key, &mut |row| {
                rows += 1;
                let Some(parent) = each.parent(&row).map_err(RunError::Failed)? else {
                    return Ok(());
                };
                let text = format!("{:?}", parent.0);
                if seen.insert(xxh3_128(text.as_bytes())) {
                    bytes += text.len();
                    all.push(parent);
                }
                let most = job.plan.limits.max_records;
                if bytes > MAX_KEY_BYTES || all.len() as u64 > most {
                    return Err(RunError::Failed(format!(
                        "{} has more than {most} records (max_records), or more than 64 MiB of keys",
                        each.of
                    )));
                }
                Ok(())
            })?;
        }
        if rows > 0 && all.is_empty() {
            return Err(RunError::Failed(format!(
                "no record of {} has text or a whole number for each placeholder of each.set; expected \
                 some",
                each.of
            )));
        }
        Ok(Self {
            all,
            next: 0,
            chain: 0,
        })
    }

    /// Skips those that an interrupted run has done; `false`, and nothing skipped, if they are not the
    /// same any more.
    pub(super) fn skip(&mut self, (done, chain): (u64, u64)) -> bool {
        let Some(before) = usize::try_from(done)
            .ok()
            .and_then(|done| self.all.get(..done))
        else {
            return false;
        };
        let is_same = before.iter().fold(0, |chain, parent| parent.after(chain)) == chain;
        if is_same {
            (self.next, self.chain) = (before.len(), chain);
        }
        is_same
    }

    /// The next parent.
    pub(super) fn next(&mut self) -> Option<Parent> {
        let parent = self.all.get(self.next)?.clone();
        self.next += 1;
        self.chain = parent.after(self.chain);
        Some(parent)
    }

    /// How many were returned, and their hash.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.next as u64, self.chain)
    }

    /// Whether all were returned.
    pub(super) fn is_at_end(&self) -> bool {
        self.next >= self.all.len()
    }
}

/// Reads the other poll's rows.
struct Reading<'r> {
    job: &'r Job<'r>,
    each: &'r Each,
    lake: &'r LakeReader,
}

impl Reading<'_> {
    fn wait<T>(
        &self,
        reading: impl Future<Output = Result<T, LakeReadError>>,
    ) -> Result<T, RunError> {
        let of = &self.each.of;
        match self.job.waiter.wait(Duration::MAX, reading) {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(RunError::Failed(format!("{of}: {error}"))),
            Err(crate::wait::Interrupted::Cancelled) => Err(RunError::Cancelled),
            Err(_) => Err(RunError::OutOfTime(format!(
                "there is no time left of the run's budget to read {of} from the lake"
            ))),
        }
    }

    /// The objects that hold the parents.
    fn objects(&self) -> Result<Vec<String>, RunError> {
        let of = &self.each.of;
        let none = || {
            RunError::NotYet(format!(
                "{of} has nothing in the lake yet; it is read first"
            ))
        };
        if !self.each.is_snapshot {
            let mut objects = self.wait(self.lake.keys(&format!("{of}/dt=")))?;
            objects.retain(|key| !key.contains("/run="));
            return if objects.is_empty() {
                Err(none())
            } else {
                Ok(objects)
            };
        }
        let markers = self.wait(self.lake.keys(&keys::runs_prefix(of)))?;
        let last = markers.last().ok_or_else(none)?;
        let mut marker = self.marker(last)?;
        if let Some(run) = &marker.same_as {
            marker = self.marker(&keys::marker_key(of, run))?;
        }
        Ok(marker
            .objects
            .into_iter()
            .map(|object| object.key)
            .filter(|key| key.starts_with(&format!("{of}/")))
            .collect())
    }

    fn marker(&self, key: &str) -> Result<Marker, RunError> {
        let bytes = self.object(key)?;
        let marker = serde_json::from_slice(&bytes);
        marker
            .map_err(|error| RunError::Failed(format!("the marker {key} cannot be read: {error}")))
    }

    fn object(&self, key: &str) -> Result<Vec<u8>, RunError> {
        let gone = || {
            RunError::Drift(format!(
                "{key} has gone from the lake while it was to be read"
            ))
        };
        self.wait(self.lake.read(key))?.ok_or_else(gone)
    }

    fn rows(
        &self,
        key: &str,
        take: &mut dyn FnMut(Map<String, Value>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let bytes = self.object(key)?;
        let unreadable = |error| RunError::Failed(format!("{key} cannot be read: {error}"));
        let mut stopped = None;
        let reader = ObjectReader::of_key(key).map_err(unreadable)?;
        let read = reader.each(bytes, &mut |row: Map<String, Value>| {
            if let Err(error) = take(row) {
                stopped = Some(error);
            }
            Ok(stopped.is_none())
        });
        match stopped {
            Some(error) => Err(error),
            None => read.map_err(unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_done_are_skipped_only_if_they_are_the_same() {
        let parents = |names: &[&str]| Parents {
            all: names
                .iter()
                .map(|name| Parent(vec![(*name).into()]))
                .collect(),
            ..Parents::default()
        };
        let mut first = parents(&["a", "b", "c"]);
        first.next();
        first.next();
        let done = first.done();
        let mut same = parents(&["a", "b", "d"]);
        assert!(same.skip(done));
        assert_eq!(same.next(), Some(Parent(vec!["d".into()])));
        assert!(same.is_at_end() && same.next().is_none());
        for other in [&["b", "a", "c"][..], &["a"], &["x", "a", "b"]] {
            let mut other = parents(other);
            assert!(!other.skip(done));
            assert_eq!(other.done(), (0, 0));
        }
        assert!(parents(&[]).skip((0, 0)));
    }
}
