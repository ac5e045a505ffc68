//! The ceiling of W100, besides receiving: the same bytes, parsed into typed events and compressed, on one
//! thread and without anything else.

use std::borrow::Cow;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::work::Work;
use crate::support::process::cpu_time;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
#[allow(
    dead_code,
    clippy::struct_field_names,
    reason = "it is parsed, by the names of the contract, and thrown away"
)]
struct Event<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: &'a RawValue,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    properties: &'a RawValue,
}

/// Processor time of one pass over all measured requests.
pub(crate) fn parse_and_compress(work: &Work) -> Result<Duration> {
    let before = cpu_time(std::process::id());
    let mut encoder = zstd::stream::write::Encoder::new(std::io::sink(), 1)?;
    for number in work.measured() {
        let body = work.request(number).body();
        let parsed: Body<'_> = serde_json::from_slice(body)?;
        black_box(parsed.events.len());
        encoder.write_all(body)?;
    }
    encoder.finish()?;
    Ok(cpu_time(std::process::id()).saturating_sub(before))
}
