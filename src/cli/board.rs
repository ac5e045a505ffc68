//! The progress of polls, as `lakehook poll` shows it.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::exit::Failure;
use crate::clock::{Clock, Micros};
use crate::out;
use crate::poll::control::{Done, Line};

/// Minimum time between two plain lines of progress.
const PLAIN_PAUSE: Duration = Duration::from_secs(2);
/// Most characters of what is shown beside a bar.
const MAX_MESSAGE: usize = 60;
const HOUR: Duration = Duration::from_secs(3600);

/// Shows the progress of runs: bars on a terminal, lines elsewhere.
pub(super) struct Board {
    bars: Option<MultiProgress>,
    shown: HashMap<String, Shown>,
    clock: Clock,
    failed: Vec<String>,
    /// Polls that went well, and whose rows are not in the lake yet.
    unshipped: Vec<String>,
    ended: Vec<String>,
}

struct Shown {
    bar: Option<ProgressBar>,
    last_line: Duration,
}

impl Board {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        // A terminal that cannot move its cursor gets lines, too.
        let bars =
            is_terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        let bars = bars.filter(|bars| !bars.is_hidden());
        Self {
            bars,
            shown: HashMap::new(),
            clock: Clock::system(),
            failed: Vec::new(),
            unshipped: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn show(&mut self, line: Line) {
        match line {
            Line::Progress {
                poll,
                pages,
                records,
                total,
            } => self.progress(&poll, pages, records, total),
            Line::Waiting {
                poll,
                what,
                until,
                failed,
            } => self.waiting(&poll, &what, until.map(Micros), failed),
            Line::Shipping { poll, left } => {
                self.step(
                    &poll,
                    &format!("{left} batches on their way to the lake"),
                    false,
                );
            }
            Line::Done { poll, done } => {
                for row in &done.first {
                    self.say(&format!("{poll}  would store: {row}"));
                }
                for sample in &done.samples {
                    self.say(&format!("{poll}  quarantined: {sample}"));
                }
                for warning in &done.warnings {
                    self.say(&format!("{poll}  warning: {warning}"));
                }
                self.end(&poll, &describe(&done));
                if !done.shipped {
                    self.unshipped.push(poll.clone());
                    self.say(&format!(
                        "{poll}  it is safe in the log, but was not in the lake within {} s",
                        done.waited
                    ));
                }
            }
            Line::State { .. } => {}
            Line::Failed { poll, error } => {
                self.end(&poll, &format!("failed: {error}"));
                self.failed.push(poll);
            }
        }
    }

    fn progress(&mut self, poll: &str, pages: u64, records: u64, total: Option<u64>) {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let shown = self.shown(poll);
        if let Some(bar) = &shown.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(records);
            bar.set_message(format!("page {pages}"));
        } else {
            self.step(poll, &format!("page {pages}, {records}{of} records"), false);
        }
    }

    /// Shows what a run waits for. Every fault is a line of its own, because it explains the wait.
    fn waiting(&mut self, poll: &str, what: &str, until: Option<Micros>, failed: bool) {
        let now = self.clock.now().wall;
        let how_long = until.map_or_else(String::new, |until| {
            let left = until.since(now);
            if left < HOUR {
                format!(" {left:.1?}")
            } else {
                format!(" until {until}")
            }
        });
        self.step(poll, &format!("waits{how_long} for {what}"), failed);
    }

    /// Shows a step of a run: beside its bar, or as a line, of which there are not too many unless
    /// `always`.
    fn step(&mut self, poll: &str, text: &str, always: bool) {
        let now = self.clock.now().mono;
        let shown = self.shown(poll);
        let is_due = now.saturating_sub(shown.last_line) >= PLAIN_PAUSE;
        if let Some(bar) = &shown.bar {
            bar.set_message(text.chars().take(MAX_MESSAGE).collect::<String>());
            bar.tick();
            if always {
                self.say(&format!("{poll}  {text}"));
            }
        } else if always || is_due {
            shown.last_line = now;
            out::line(format_args!("{poll}  {text}"));
        }
    }

    fn shown(&mut self, poll: &str) -> &mut Shown {
        let (bars, now) = (&self.bars, self.clock.now().mono);
        self.shown.entry(poll.to_owned()).or_insert_with(|| Shown {
            bar: bars.as_ref().map(|bars| bars.add(new_bar(poll))),
            last_line: now,
        })
    }

    /// Everything has arrived in the lake after all.
    pub(super) fn take_back(&mut self) {
        for poll in std::mem::take(&mut self.unshipped) {
            self.say(&format!("{poll}  it is in the lake now"));
        }
    }

    fn end(&mut self, poll: &str, text: &str) {
        if let Some(bar) = self.shown.remove(poll).and_then(|shown| shown.bar) {
            bar.finish_and_clear();
        }
        self.say(&format!("{poll}  {text}"));
        self.ended.push(poll.to_owned());
    }

    fn say(&self, text: &str) {
        match &self.bars {
            // Printed above the bars.
            Some(bars) => _ = bars.println(text),
            None => out::line(text),
        }
    }

    /// Whether all polls succeeded; an error if one of them has not ended at all.
    pub(super) fn finish(&self, polls: &[String]) -> Result<bool, Failure> {
        if let Some(poll) = polls.iter().find(|poll| !self.ended.contains(poll)) {
            return Err(anyhow!("the service went away before {poll} had ended").into());
        }
        Ok(self.failed.is_empty() && self.unshipped.is_empty())
    }
}

fn new_bar(poll: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix}  {bar:30} {pos}/{len} records, {msg} {elapsed}");
    let bar = ProgressBar::new(0).with_prefix(poll.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Describes a run that did not fail.
fn describe(done: &Done) -> String {
    let took = Duration::from_millis(done.took_ms);
    let quarantined = match done.quarantined {
        0 => String::new(),
        count => format!(", {count} quarantined"),
    };
    let duplicates = match done.duplicates {
        0 => String::new(),
        count => format!(", {count} known already"),
    };
    let missing = match done.missing {
        0 => String::new(),
        count => format!(", {count} parents unknown to the API"),
    };
    let nulls = match done.nulls.values().sum::<u64>() {
        0 => String::new(),
        count => {
            let columns: Vec<&str> = done.nulls.keys().map(String::as_str).collect();
            format!(", {count} values made null ({})", columns.join(", "))
        }
    };
    let unchanged = done.same_as.as_ref().map_or_else(String::new, |run| {
        format!(", unchanged since run {run}; nothing was written")
    });
    format!(
        "{} records in {took:.1?}{duplicates}{quarantined}{missing}{nulls}{unchanged}  run {}",
        done.records, done.run
    )
}
