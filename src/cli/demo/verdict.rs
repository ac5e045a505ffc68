//! The end of a demo: what was sent, what is in the lake, and whether it adds up.

use super::summary::StreamCount;
use crate::out;
use crate::upstream::Sent;

/// The result of a demo.
pub(super) struct Verdict {
    /// What the sample system sent, and what it was answered.
    pub(super) sent: Sent,
    /// Events that were read back.
    pub(super) events: StreamCount,
    /// Rows of the quarantine that were read back.
    pub(super) quarantine: StreamCount,
    /// The last visible run of each poll.
    pub(super) snapshots: Vec<(String, StreamCount)>,
    /// What does not add up.
    pub(super) problems: Vec<String>,
}

/// How many rows of the quarantine are there for a reason.
pub(super) fn reason(quarantine: &StreamCount, reason: &str) -> u64 {
    quarantine.reasons.get(reason).copied().unwrap_or(0)
}

impl Verdict {
    /// Prints everything, in lines of up to 80 columns.
    pub(super) fn print(&self) {
        self.print_summary();
        out::line("");
        if self.problems.is_empty() {
            out::line("It adds up: every accepted event is in the lake exactly once,");
            out::line("and every poll as a whole.");
        }
        for problem in &self.problems {
            out::line(format_args!("It does not add up: {problem}"));
        }
    }

    fn print_summary(&self) {
        let row = |name: &str, value: u64, note: &str| {
            let line = format!("{name:<24}{value:>9}  {note}");
            out::line(line.trim_end());
        };
        let Self { sent, events, .. } = self;
        out::line("");
        row("events sent", sent.events, "");
        row(
            "  accepted",
            sent.accepted,
            "new, durable before the answer",
        );
        row(
            "  dropped",
            sent.dropped,
            "taken by the rule that drops signups",
        );
        row("  duplicates", sent.duplicates, "known already");
        row(
            "  quarantined",
            sent.quarantined,
            "kept aside, with the reason",
        );
        row(
            "  refused",
            sent.refused,
            "in requests that were answered 400",
        );
        row("  unanswered", sent.unanswered, "");
        row(
            "records in the lake",
            events.rows,
            "counted by reading the objects back",
        );
        row(
            "  in objects",
            events.objects,
            &format!("{} bytes", events.bytes),
        );
        row(
            "refused requests kept",
            reason(&self.quarantine, "refused_request"),
            "in the quarantine, as they were sent",
        );
        for (name, snapshot) in &self.snapshots {
            let note = format!("in the last visible run, {} bytes", snapshot.bytes);
            row(&format!("{name} polled"), snapshot.rows, &note);
        }
    }
}
