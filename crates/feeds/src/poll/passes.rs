//! The passes of an appending run: each reads pages from the first to the last, and asks for something
//! else than the one before.

use super::each::Parent;
use super::job::{Backfill, Job};
use super::pages::{Pages, Position};
use super::parents::Parents;
use super::plan::Plan;
use super::resume::{PollCursor, Resume};
use super::template::{Filler, Values};
use super::tokens::Resumption;
use super::windows::{Window, Windows};
use crate::errors::RunError;
use crate::watermark::Mark;
use lakehook_base::clock::Micros;

/// What one pass asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// What is new since this mark.
    pub(super) since: Option<Mark>,
    /// This window.
    pub(super) window: Option<Window>,
    /// What has changed since the API gave out this token.
    pub(super) token: Option<String>,
    /// This parent.
    pub(super) parent: Option<Parent>,
    /// Where a run that is interrupted in this pass goes on: how many parents were done before.
    pub(super) before: Option<(u64, u64)>,
    /// The same after this pass.
    pub(super) after: Option<(u64, u64)>,
    /// Whether no other pass follows.
    pub(super) is_last: bool,
}

/// The passes of one run, in order.
pub(super) enum Passes<'p> {
    /// The only one.
    One(Option<Pass>),
    /// One for each parent.
    Parents(Parents),
    /// One for each window.
    Windows {
        windows: &'p Windows,
        from: Micros,
        /// The end of a window that was interrupted.
        until: Option<Micros>,
        end: Micros,
    },
}

impl<'p> Passes<'p> {
    /// The passes of a run that started at `started`, or goes on at a position.
    pub(super) fn new(
        job: &Job<'p>,
        cursor: &PollCursor,
        resumed: Option<&Resume>,
        started: Micros,
    ) -> Result<Self, RunError> {
        if let Some(backfill) = job.backfill {
            return Self::backfill(job.plan, backfill, started).map_err(RunError::Failed);
        }
        if let Some(windows) = &job.plan.division.windows {
            let resumed = resumed.and_then(|resume| resume.window);
            let done = cursor.window.map(Micros);
            return Ok(Self::Windows {
                windows,
                from: resumed.map_or_else(|| windows.beginning(done), |(from, _)| Micros(from)),
                until: resumed.map(|(_, until)| Micros(until)),
                end: started,
            });
        }
        if let Some(each) = &job.plan.division.each {
            let mut parents = Parents::load(job, each)?;
            let place = resumed.and_then(|resume| resume.parents);
            if let Some(place) = place
                && !parents.skip(place)
            {
                let what = format!(
                    "the records of {} have changed since the run was interrupted",
                    each.of
                );
                return Err(RunError::Drift(what));
            }
            return Ok(Self::Parents(parents));
        }
        let since = match resumed {
            Some(resume) => job.plan.remembered(resume.since.as_deref()),
            None => job.plan.watermark.as_ref().and_then(|from| {
                let mark = cursor.mark(&from.format);
                mark.map(|mark| mark.minus(from.lag)).or(from.start.clone())
            }),
        };
        let token = match resumed {
            Some(resume) => resume.token.clone(),
            None => cursor.token.clone(),
        };
        Ok(Self::One(Some(Pass {
            since,
            token,
            is_last: true,
            ..Pass::default()
        })))
    }

    /// The passes of a run that reads again what lies between two marks.
    fn backfill(plan: &'p Plan, backfill: &Backfill, started: Micros) -> Result<Self, String> {
        let Backfill { from, to } = backfill;
        if let Some(windows) = &plan.division.windows {
            let time = |option: &str, text: &str| match windows.format.read_given(text) {
                Some(Mark::Time(time)) => Ok(time),
                _ => Err(format!(
                    "{option} must be a time such as 2026-01-01T00:00:00Z or 2026-01-01"
                )),
            };
            let from = time("--from", from)?;
            let to = to.as_deref().map(|to| time("--to", to)).transpose()?;
            let end = to.unwrap_or(started);
            if from >= end {
                return Err("--from must be before --to, or before now".to_owned());
            }
            return Ok(Self::Windows {
                windows,
                from,
                until: None,
                end,
            });
        }
        let Some(asked) = &plan.watermark else {
            return Err("--from needs a poll with a watermark or a window".to_owned());
        };
        if to.is_some() {
            return Err("--to needs a poll with a window, whose requests have an end".to_owned());
        }
        let since = asked.format.read_given(from);
        let since = since.ok_or_else(|| format!("--from must be {}", asked.format.expected()))?;
        Ok(Self::One(Some(Pass {
            since: Some(since),
            is_last: true,
            ..Pass::default()
        })))
    }

    /// The next pass.
    pub(super) fn next(&mut self) -> Option<Pass> {
        match self {
            Self::One(pass) => pass.take(),
            Self::Parents(parents) => {
                let before = parents.done();
                let parent = parents.next()?;
                Some(Pass {
                    parent: Some(parent),
                    before: Some(before),
                    after: Some(parents.done()),
                    is_last: parents.is_at_end(),
                    ..Pass::default()
                })
            }
            Self::Windows {
                windows,
                from,
                until,
                end,
            } => {
                let interrupted = until.take().map(|until| Window { from: *from, until });
                let window = interrupted.or_else(|| windows.at(*from, *end))?;
                *from = window.until;
                Some(Pass {
                    window: Some(window),
                    is_last: window.until >= *end,
                    ..Pass::default()
                })
            }
        }
    }
}

impl Pass {
    /// The values of placeholders for this pass.
    pub(super) fn values(&self, plan: &Plan, began: Micros) -> Result<Values, RunError> {
        let values = plan.run_values(self.since.as_ref(), began);
        let mut values = values.map_err(RunError::Failed)?;
        if let (Some(windows), Some(window)) = (&plan.division.windows, self.window) {
            let (from, until) = windows.written(window);
            let filler = if windows.are_numbers() {
                Filler::Number
            } else {
                Filler::Text
            };
            values.set("mark", filler(from));
            values.set("until", filler(until));
        }
        if let Some(token) = &self.token {
            values.set("token", token.as_str());
        }
        if let (Some(each), Some(parent)) = (&plan.division.each, &self.parent) {
            each.fill(parent, &mut values);
        }
        Ok(values)
    }

    /// The pages of this pass, from the first.
    pub(super) fn pages(&self, plan: &Plan) -> Pages {
        match (&self.token, plan.division.resumption) {
            (Some(link), Some(Resumption::Link)) => plan.pages_from(Position::Url(link.clone()), 0),
            (Some(token), Some(Resumption::Cursor)) => {
                plan.pages_from(Position::Cursor(token.clone()), 0)
            }
            _ => match self.since.as_ref().and_then(|since| plan.cursor_of(since)) {
                Some(cursor) => plan.pages_from(Position::Cursor(cursor), 0),
                None => plan.pages(),
            },
        }
    }

    /// The members that each record of this pass gets.
    pub(super) fn added(&self, plan: &Plan) -> Vec<(String, String)> {
        match (&plan.division.each, &self.parent) {
            (Some(each), Some(parent)) => each.added(parent),
            _ => Vec::new(),
        }
    }

    /// An error with the pass that it happened in.
    pub(super) fn located(&self, plan: &Plan, error: RunError) -> RunError {
        if let (Some(each), Some(parent)) = (&plan.division.each, &self.parent) {
            return error.within(&each.shown(parent));
        }
        let (Some(windows), Some(window)) = (&plan.division.windows, self.window) else {
            return error;
        };
        let (from, until) = windows.written(window);
        error.within(&format!("window {from} to {until}"))
    }
}
