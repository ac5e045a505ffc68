//! The report of `lakehook find` for people.

use std::path::Path;

use super::report::{Report, UnreadKind};
use super::verdict::Verdict;
use crate::out;

/// Things of one kind that cannot be read are named up to this number, and counted beyond it.
const MAX_NAMED: usize = 5;

/// Prints it. `asked` is the directory of the log whose service was asked, if any was.
pub(super) fn print(report: &Report, asked: Option<&Path>) {
    out::line(format_args!("{}: {}", report.id, words(report)));
    for row in &report.rows {
        let place = if row.quarantined {
            "in the quarantine"
        } else {
            "in the lake"
        };
        let batch = row
            .batch
            .map(|batch| format!(", batch {batch}"))
            .unwrap_or_default();
        let node = row.node.as_ref().map(|node| format!(" of node {node}"));
        out::line(format_args!(
            "{place}: LSN {}{batch}{}, row {} of {}",
            row.lsn,
            node.unwrap_or_default(),
            row.place,
            row.key
        ));
        out::line(format_args!("  {}", row.row));
    }
    let from = |client: &Option<String>| {
        let client = client.as_ref();
        client
            .map(|client| format!(" from {client}"))
            .unwrap_or_default()
    };
    for request in &report.requests {
        let event = match request.event {
            "request" => String::new(),
            event => format!("{event}; "),
        };
        out::line(format_args!(
            "received at {}{}: {event}its request had {} stored, {} duplicates, {} dropped, {} in the quarantine",
            request.received_at,
            from(&request.client),
            request.stored,
            request.duplicates,
            request.dropped,
            request.quarantined
        ));
    }
    for refused in &report.refusals {
        out::line(format_args!(
            "refused at {}{} with {} by {}: {}",
            refused.at,
            from(&refused.client),
            refused.status,
            refused.endpoint,
            refused.why
        ));
    }
    print_reach(report, asked);
}

fn words(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Stored if report.rows.is_empty() => {
            "stored; its row is in the log, and gets to the lake with its batch"
        }
        Verdict::Stored => "stored",
        Verdict::Duplicate => "a duplicate of what was received before",
        Verdict::Dropped => "dropped by a rule (`events.drop`)",
        Verdict::Refused => "refused with its request; nothing of it is stored",
        Verdict::Quarantined => "in the quarantine",
        Verdict::Accepted if report.requests.is_empty() => {
            "accepted by this node; its row was not found: it is in the log, in an object that was left, or no longer there"
        }
        Verdict::Accepted => "accepted",
        Verdict::Unknown => "nothing is known of it",
        Verdict::Undecided => {
            "nothing was found, but not everything could be looked into: it may be there all the same"
        }
    }
}

/// How far was looked, where that matters.
fn print_reach(report: &Report, asked: Option<&Path>) {
    let lake = &report.lake;
    if lake.objects == 0 {
        out::line("there are no objects of events in the lake yet");
    } else {
        out::line(format_args!(
            "of {} objects {} cannot have it, {} were looked into, {} were left",
            lake.objects, lake.ruled_out, lake.looked_into, lake.left
        ));
    }
    if lake.is_cut {
        out::line(
            "older objects were left, because reading them takes long; `--whole` reads them, too",
        );
    }
    print_unread(report);
    match (&report.service, asked) {
        (Some(service), _) if service.requests > service.remembered => out::line(format_args!(
            "the service remembers the last {} of {} requests",
            service.remembered, service.requests
        )),
        (None, Some(dir)) => out::line(format_args!(
            "no service answers in {}: requests, and what is not in the lake yet, are not known",
            dir.display()
        )),
        _ => {}
    }
}

/// What could not be read, and what that means.
fn print_unread(report: &Report) {
    let kinds = [
        (
            UnreadKind::Filters,
            "the filters of these objects cannot be read, so the objects are read whole",
        ),
        (
            UnreadKind::Rows,
            "these objects cannot be read, or not to their end, so it may be in them; `lakehook audit --deep` says what is wrong with them",
        ),
        (
            UnreadKind::IdFile,
            "these id files of the log cannot be read, so they rule no objects out, and do not say whether the node received it",
        ),
    ];
    for (kind, meaning) in kinds {
        let unread: Vec<_> = report
            .unread
            .iter()
            .filter(|unread| unread.kind == kind)
            .collect();
        if unread.is_empty() {
            continue;
        }
        out::line(format_args!("{meaning}:"));
        for unread in unread.iter().take(MAX_NAMED) {
            out::line(format_args!("  {}: {}", unread.name, unread.why));
        }
        if let Some(more) = unread.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
            out::line(format_args!("  and {more} more; `--json` names them all"));
        }
    }
}
