//! The report: faults, answers and findings of a run, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::ledger::Violation;

/// The report of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TortureReport {
    /// Whether nothing was lost, doubled or altered, and every answer was right.
    pub holds: bool,
    /// The seed, which reproduces schedule and bodies.
    pub seed: u64,
    /// How long faults were injected.
    pub seconds: f64,
    /// Nodes: 1 without a cluster.
    pub nodes: usize,
    /// Kills by SIGKILL.
    pub kills: u64,
    /// Owners that were killed with their directory.
    pub machines_lost: u64,
    /// Pauses by SIGSTOP and SIGCONT.
    pub pauses: u64,
    /// Stops by SIGTERM with exit code 0, including the last one.
    pub stops: u64,
    /// Outages of the lake.
    pub outages: u64,
    /// How often the log was full and was emptied again.
    pub full_logs: u64,
    /// How often another node has taken the log over from an owner that was killed, paused or asked to stop.
    pub takeovers: u64,
    /// Longest time from such a fault until another node owned the log.
    pub longest_takeover_seconds: f64,
    /// Longest time from a start until the server was ready.
    pub longest_ready_seconds: f64,
    /// Requests, each counted once.
    pub requests: u64,
    /// Attempts after the first, because no answer came.
    pub retried: u64,
    /// Attempts by the status of their answer.
    pub answered: BTreeMap<u16, u64>,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Answers 503 because the log was full.
    pub log_full: u64,
    /// Events that were acknowledged and must be in the lake.
    pub events_acknowledged: u64,
    /// Events that are in the lake.
    pub events_in_the_lake: u64,
    /// Events that answers reported as duplicates.
    pub duplicates_recognised: u64,
    /// Ids that were sent again with other content and are in the quarantine.
    pub conflicts_kept: u64,
    /// Refused requests of which a copy is in the quarantine.
    pub refused_copies: u64,
    /// The audit of the lake and the log.
    pub audit: AuditResult,
    /// Number of violations.
    pub violations_total: u64,
    /// The first violations.
    pub violations: Vec<Violation>,
    /// The directory, if it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
    /// The lake of a cluster, if it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_lake: Option<String>,
}

/// The result of the audit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditResult {
    /// Whether everything adds up.
    pub adds_up: bool,
    /// Number of objects.
    pub objects: usize,
    /// Number of problems.
    pub problems: u64,
}

impl Display for TortureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures(f)?;
        self.verdict(f)
    }
}

impl TortureReport {
    fn status(&self, status: u16) -> u64 {
        self.answered.get(&status).copied().unwrap_or(0)
    }

    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:.0} s of faults", self.seed, self.seconds)?;
        for (name, value, note) in self.rows() {
            writeln!(f, "{}", format!("{name:<26}{value:>10}  {note}").trim_end())?;
        }
        for (status, count) in &self.answered {
            if ![200, 400, 503].contains(status) {
                writeln!(f, "  answered {status:<15}{count:>10}")?;
            }
        }
        if self.is_cluster() {
            let longest = self.longest_takeover_seconds;
            writeln!(f, "longest takeover          {longest:>10.2}  s")?;
        }
        let longest = self.longest_ready_seconds;
        writeln!(f, "longest time to be ready  {longest:>10.2}  s")?;
        let adds_up = if self.audit.adds_up {
            "adds up"
        } else {
            "does not add up"
        };
        writeln!(
            f,
            "audit                     {:>10}  objects: {adds_up}",
            self.audit.objects
        )?;
        writeln!(f)
    }

    fn is_cluster(&self) -> bool {
        self.nodes > 1
    }

    /// Names, numbers and notes.
    fn rows(&self) -> Vec<(&'static str, u64, &'static str)> {
        let mut rows = if self.is_cluster() {
            self.faults_of_cluster()
        } else {
            self.faults_of_service()
        };
        rows.extend([
            ("requests", self.requests, ""),
            ("  sent again", self.retried, "because no answer came"),
            ("  answered 200", self.status(200), "durable"),
            ("  answered 400", self.status(400), "refused, as it must be"),
            ("  answered 503", self.status(503), "to be sent again"),
            ("  of these, log full", self.log_full, ""),
            (
                "  without an answer",
                self.unanswered,
                "the server was killed, away or paused",
            ),
            (
                "events acknowledged",
                self.events_acknowledged,
                "new, not of a dropped type",
            ),
            (
                "events in the lake",
                self.events_in_the_lake,
                "counted by reading it",
            ),
            (
                "duplicates recognised",
                self.duplicates_recognised,
                "sent again, or twice on purpose",
            ),
            (
                "conflicts in quarantine",
                self.conflicts_kept,
                "a known id with other content",
            ),
            (
                "refused, with a copy",
                self.refused_copies,
                "in the quarantine",
            ),
        ]);
        rows
    }

    fn faults_of_service(&self) -> Vec<(&'static str, u64, &'static str)> {
        vec![
            ("killed", self.kills, "SIGKILL, and started again"),
            ("paused", self.pauses, "SIGSTOP, then SIGCONT"),
            ("stopped", self.stops, "SIGTERM, exit code 0"),
            ("without a lake", self.outages, "and back"),
            ("log full", self.full_logs, "and emptied again"),
        ]
    }

    fn faults_of_cluster(&self) -> Vec<(&'static str, u64, &'static str)> {
        vec![
            ("nodes", self.nodes as u64, "on one log"),
            ("nodes killed", self.kills, "SIGKILL, and started again"),
            (
                "owners lost",
                self.machines_lost,
                "SIGKILL, and their directory deleted",
            ),
            (
                "owners paused",
                self.pauses,
                "SIGSTOP, and SIGCONT after another took over",
            ),
            (
                "stopped",
                self.stops,
                "SIGTERM, exit code 0; owners hand over",
            ),
            ("takeovers", self.takeovers, "another node owned the log"),
        ]
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Violation {
            what,
            answered,
            found,
        } in &self.violations
        {
            let answered = match answered.as_str() {
                "" => String::new(),
                answered => format!(" (answered: {answered})"),
            };
            writeln!(f, "violation  {what}{answered}: {found}")?;
        }
        let more = self
            .violations_total
            .saturating_sub(self.violations.len() as u64);
        if more > 0 {
            writeln!(f, "and {more} more")?;
        }
        if let Some(dir) = &self.kept {
            writeln!(
                f,
                "Everything is kept in {}; server.log is what the server said.",
                dir.display()
            )?;
        }
        if let Some(lake) = &self.kept_lake {
            writeln!(f, "The lake is kept in {lake}.")?;
        }
        if self.holds {
            write!(
                f,
                "It holds: every acknowledged event is in the lake exactly once, as it was sent."
            )
        } else {
            write!(f, "It does not hold: {} violations.", self.violations_total)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_that_it_holds_or_what_does_not() {
        let mut report = TortureReport {
            holds: true,
            seed: 7,
            kills: 9,
            ..TortureReport::default()
        };
        let text = report.to_string();
        assert!(
            text.starts_with(
                "seed 7, 0 s of faults\nkilled                             9  SIGKILL"
            )
        );
        assert!(text.ends_with("exactly once, as it was sent."), "{text}");
        report.holds = false;
        report.violations_total = 3;
        report.violations.push(Violation {
            what: "an-id".to_owned(),
            answered: "200".to_owned(),
            found: "it is lost".to_owned(),
        });
        report.answered.insert(500, 4);
        report.kept = Some("/there".into());
        report.kept_lake = Some("s3://here".to_owned());
        let text = report.to_string();
        let lines = [
            "  answered 500                     4\n",
            "violation  an-id (answered: 200): it is lost\nand 2 more\nEverything is kept in /there;",
        ];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
        assert!(
            text.contains("\nThe lake is kept in s3://here.\n"),
            "{text}"
        );
        assert!(text.ends_with("It does not hold: 3 violations."), "{text}");
        assert!(!text.contains("takeover"), "{text}");
        report.nodes = 3;
        report.longest_takeover_seconds = 2.5;
        let text = report.to_string();
        assert!(
            text.contains("longest takeover                2.50  s\n"),
            "{text}"
        );
        assert!(!text.contains("without a lake"), "{text}");
    }
}
