//! Selects the rows of the quarantine that a command is about, and reads them from the lake.

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::Args;

use crate::cli::progress::bar;
use crate::encode::Format;
use crate::lake::reader::LakeReader;
use crate::replay::kept::{Kept, rows};

/// Which rows.
#[derive(Debug, Args)]
pub struct Which {
    /// Only what was meant for this stream
    #[arg(long, value_name = "NAME")]
    pub(super) stream: Option<String>,
    /// Only for this reason: `invalid_event`, `id_conflict`, `refused_request` or `invalid_record`
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only with an error of this rule
    #[arg(long, value_name = "RULE")]
    code: Option<String>,
    /// Only what was received on this day (UTC) or later
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<NaiveDate>,
    /// Only what was received on this day (UTC) or before
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<NaiveDate>,
}

/// Passes the rows to `take`, object by object, until it returns `false`.
pub(super) async fn each(
    place: &LakeReader,
    which: &Which,
    only: Option<&str>,
    take: &mut dyn FnMut(&str, Kept) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let prefix = match &which.stream {
        Some(stream) => format!("quarantine/{stream}/"),
        None => "quarantine/".to_owned(),
    };
    let keys = place.keys(&prefix).await?;
    let keys = keys
        .into_iter()
        .filter(|key| Format::of_key(key).is_some() && which.has_day_of(key))
        .filter(|key| only.is_none_or(|only| only == key));
    let keys: Vec<String> = keys.collect();
    let bar = bar("objects read");
    bar.set_length(keys.len() as u64);
    for key in keys {
        let Some(bytes) = place.read(&key).await? else {
            continue;
        };
        // The bar is hidden meanwhile, or it and the output would end up in the same lines.
        let goes_on = bar.suspend(|| of_object(which, &key, bytes, take));
        if !goes_on.with_context(|| key.clone())? {
            break;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Passes on the rows of one object; returns `false` if no more are wanted.
fn of_object(
    which: &Which,
    key: &str,
    bytes: Vec<u8>,
    take: &mut dyn FnMut(&str, Kept) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let mut outcome = Ok(true);
    rows(key, bytes, &mut |row| {
        if which.has(&row) {
            outcome = take(key, row);
        }
        matches!(outcome, Ok(true))
    })?;
    outcome
}

impl Which {
    fn has(&self, row: &Kept) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.reason, &row.reason)
            && (self.code.is_none() || row.errors.iter().any(|error| is(&self.code, &error.code)))
    }

    fn has_day_of(&self, key: &str) -> bool {
        let day = key.split('/').find_map(|part| part.strip_prefix("dt="));
        let Some(day) = day.and_then(|day| day.parse::<NaiveDate>().ok()) else {
            return self.since.is_none() && self.until.is_none();
        };
        self.since.is_none_or(|since| day >= since) && self.until.is_none_or(|until| day <= until)
    }
}
