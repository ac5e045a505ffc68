//! What `lakehook erase` has done, for people and for programs.

use serde::Serialize;

use crate::erase::eraser::ErasedObject;
use crate::out;

/// What the command did.
#[derive(Debug, Default, Serialize)]
pub(super) struct ErasureReport {
    pub(super) dry_run: bool,
    /// The id of the request, if anything was noted.
    pub(super) erasure: Option<String>,
    /// Objects that were looked into.
    pub(super) looked_into: u64,
    /// Objects that were rewritten, or would be.
    pub(super) objects: u64,
    /// Rows that were erased, or would be.
    pub(super) rows: u64,
    /// Objects that an earlier run of the same request had rewritten.
    pub(super) objects_before: u64,
    /// Versions that were deleted.
    pub(super) versions_deleted: u64,
    /// What is left, by object, log or node, and why.
    pub(super) left: Vec<Left>,
    /// What somebody should know.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Left {
    pub(super) what: String,
    pub(super) why: String,
}

/// Counts what became of an object.
pub(super) fn take(report: &mut ErasureReport, key: &str, outcome: ErasedObject) {
    report.looked_into += 1;
    match outcome {
        ErasedObject::Untouched => {}
        ErasedObject::Erased(rows) => {
            report.objects += 1;
            report.rows += rows;
        }
        ErasedObject::Before(_) => report.objects_before += 1,
        ErasedObject::Left(why) => report.left.push(Left {
            what: key.to_owned(),
            why,
        }),
    }
}

/// Prints it.
pub(super) fn print(report: &ErasureReport, json: bool) -> Result<(), serde_json::Error> {
    if json {
        out::line(serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let verb = if report.dry_run {
        "would be erased"
    } else {
        "were erased"
    };
    out::line(format_args!(
        "{} rows {verb} from {} objects; {} objects were looked into",
        report.rows, report.objects, report.looked_into
    ));
    if report.objects_before > 0 {
        out::line(format_args!(
            "{} objects were rewritten by an earlier run of this request",
            report.objects_before
        ));
    }
    if report.versions_deleted > 0 {
        out::line(format_args!(
            "{} old versions were deleted",
            report.versions_deleted
        ));
    }
    for note in &report.notes {
        out::line(format_args!("note     {note}"));
    }
    for Left { what, why } in &report.left {
        out::line(format_args!("left     {what}: {why}"));
    }
    if !report.left.is_empty() && !report.dry_run {
        out::line(
            "Not everything could be erased. Run the command again, on this machine, when it can be.",
        );
    }
    Ok(())
}
