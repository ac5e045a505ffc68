//! What `lakehook retain` has done, for people and for programs.

use serde::Serialize;

use crate::out;
use crate::retain::notes::ListedObject;
use crate::retain::plan::RunId;

/// What the command did.
#[derive(Debug, Default, Serialize)]
pub(super) struct RetentionReport {
    pub(super) dry_run: bool,
    /// Everything of this day and later stays.
    pub(super) first_kept_day: String,
    /// Objects with rows that were removed, or would be.
    pub(super) objects: u64,
    /// Rows in these objects.
    pub(super) rows: u64,
    /// Bytes of these objects.
    pub(super) bytes: u64,
    /// Markers of runs that were removed, or would be.
    pub(super) markers: u64,
    /// Objects and markers that an earlier run had listed, and that this run removed, or would remove.
    pub(super) finished: u64,
    /// What is left, and why.
    pub(super) left: Vec<LeftObject>,
    /// What somebody should know.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct LeftObject {
    pub(super) key: String,
    pub(super) why: String,
}

impl RetentionReport {
    /// Counts an object that is removed, or would be.
    pub(super) fn count(&mut self, listed: &ListedObject) {
        if RunId::of_marker(&listed.key).is_some() {
            self.markers += 1;
            return;
        }
        self.objects += 1;
        self.bytes += listed.bytes;
        self.rows += listed.stamp().map_or(0, |stamp| stamp.rows_left());
    }

    pub(super) fn leave(&mut self, key: &str, why: impl Into<String>) {
        self.left.push(LeftObject {
            key: key.to_owned(),
            why: why.into(),
        });
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<(), serde_json::Error> {
        if json {
            out::line(serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let verb = if self.dry_run { "would be" } else { "were" };
        out::line(format_args!(
            "{} objects with {} rows ({} bytes) and {} markers of runs {verb} removed; what belongs to {} and later days \
             stays",
            self.objects, self.rows, self.bytes, self.markers, self.first_kept_day
        ));
        if self.finished > 0 {
            out::line(format_args!(
                "{} that an earlier run had listed {verb} removed",
                self.finished
            ));
        }
        for note in &self.notes {
            out::line(format_args!("note     {note}"));
        }
        for LeftObject { key, why } in &self.left {
            out::line(format_args!("left     {key}: {why}"));
        }
        Ok(())
    }
}
