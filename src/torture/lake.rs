//! Reads the lake at the end of a run: the rows for the judge, and the audit.

use std::io;

use super::events::Source;
use super::judge::{Judge, Verdict};
use super::ledger::Ledger;
use crate::audit::whole::{Whole, audit};
use crate::encode::ObjectReader;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::replay::kept;
use crate::wal::inspect::Inspection;

/// The content of a lake, compared with the answers and with the metadata of its objects.
#[derive(Debug, Default)]
pub struct Examined {
    /// The verdict of the judge.
    pub verdict: Verdict,
    /// The audit of the lake and the log.
    pub audit: Whole,
}

/// Reads all of a lake, whose log was read before.
pub async fn examine(
    place: &LakeReader,
    log: Inspection,
    source: Source,
    ledger: &Ledger,
) -> Result<Examined, LakeReadError> {
    let audit = audit(place, &[log], true, None, &mut |_, _, _| {}).await?;
    let mut judge = Judge::new(source, ledger);
    for key in place.keys("events").await? {
        let bytes = place.read(&key).await?.unwrap_or_default();
        let reader = ObjectReader::of_key(&key).map_err(at(&key))?;
        let read = reader.each(bytes, &mut |row| {
            judge.event(&key, &row);
            Ok(true)
        });
        read.map_err(at(&key))?;
    }
    for key in place.keys("quarantine").await? {
        let bytes = place.read(&key).await?.unwrap_or_default();
        kept::rows(&key, bytes, &mut |kept| {
            judge.kept(&key, &kept);
            true
        })
        .map_err(at(&key))?;
    }
    let mut verdict = judge.finish();
    totals(&audit, &mut verdict);
    Ok(Examined { verdict, audit })
}

fn at(key: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{key}: {error}"))
}

/// Checks that the totals of each node add up, and that as many rows are there as they count as stored.
fn totals(audit: &Whole, verdict: &mut Verdict) {
    let mut stored = 0;
    for node in &audit.nodes {
        let of = |name: &str| node.totals.get(name).copied().unwrap_or(0);
        let parts = of("stored") + of("dropped") + of("duplicate") + of("quarantined");
        stored += of("stored");
        if of("received") != parts {
            let found = format!("{} received, {parts} accounted for", of("received"));
            let node = format!("node {}", node.node);
            verdict.violations.add(node, "", found);
        }
    }
    if stored != verdict.events {
        let found = format!("{} rows; the totals say {stored}", verdict.events);
        verdict.violations.add("events in the lake", "", found);
    }
}
