//! What a poll remembers between its runs, as people see it and move it by hand.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::resume::PollCursor;
use super::tokens::MAX_TOKEN;
use crate::watermark::Mark;
use lakehook_base::clock::Micros;
use lakehook_base::record::{NO_RUN, Origin, Rows};
use lakehook_log::log::Log;
use lakehook_log::request::{Append, Cursor};

/// What is asked of the state of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing is changed.
    Show,
    /// The next run asks from here on.
    Set {
        /// A mark, or the end of the last window, as a person writes it.
        to: String,
    },
    /// The next run begins anew.
    Reset,
}

/// What a poll remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The highest value of the watermark that complete runs have seen.
    pub mark: Option<String>,
    /// The end of the last window that was read whole.
    pub window: Option<String>,
    /// The length of the token that the last complete run has ended with.
    pub token_bytes: Option<usize>,
    /// Where an interrupted run goes on.
    pub interrupted: Option<String>,
    /// Start of the last complete run.
    pub last_run: Option<String>,
    /// The last snapshot that was written, and the number of its records.
    pub snapshot: Option<(String, u64)>,
    /// Until when the API has asked to be left alone.
    #[serde(default)]
    pub held_until: Option<String>,
}

/// What a cursor remembers, and until when the API has asked to be left alone.
pub fn shown(cursor: &PollCursor, held_until: Option<Micros>) -> State {
    State {
        mark: cursor.watermark.clone(),
        window: cursor.window.map(|end| Micros(end).to_string()),
        token_bytes: cursor.token.as_ref().map(String::len),
        interrupted: cursor.resume.as_ref().map(|resume| {
            let began = Micros(resume.began);
            match resume.parents {
                Some((done, _)) => format!("after {done} parents, in the run of {began}"),
                None => format!("after {} records, in the run of {began}", resume.read),
            }
        }),
        last_run: cursor.last_started().map(|at| at.to_string()),
        snapshot: cursor
            .snapshot
            .as_ref()
            .map(|it| (it.run.clone(), it.records)),
        held_until: held_until.map(|until| until.to_string()),
    }
}

/// Stores a cursor in the log, durably.
pub(super) async fn store(
    log: &Log,
    poll: &str,
    cursor: &PollCursor,
    now: Micros,
) -> Result<(), String> {
    let append = Append {
        rows: Rows::default(),
        dropped: 0,
        origin: Origin {
            received_at: log.gauges().receipt(now),
            endpoint: poll.into(),
            request_id: "state".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: Some(Cursor {
            poll: poll.into(),
            bytes: cursor.write(),
        }),
    };
    let appended = log.append(append).await.map(drop);
    appended.map_err(|error| format!("the log did not take it: {error}"))
}

/// Changes a cursor; the error says why it cannot be.
pub fn change(plan: &Plan, cursor: &mut PollCursor, change: &Change) -> Result<(), String> {
    match change {
        Change::Show => return Ok(()),
        Change::Reset => {
            cursor.watermark = None;
            cursor.window = None;
            cursor.token = None;
            cursor.snapshot = None;
        }
        Change::Set { to } => set(plan, cursor, to)?,
    }
    // It belongs to what was remembered before.
    cursor.resume = None;
    Ok(())
}

fn check_token(token: &str) -> Result<(), String> {
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(format!("a token has 1 to {MAX_TOKEN} bytes"));
    }
    Ok(())
}

fn set(plan: &Plan, cursor: &mut PollCursor, to: &str) -> Result<(), String> {
    if let Some(from) = &plan.watermark {
        let mark = from.format.read_given(to);
        let mark = mark.ok_or_else(|| {
            format!(
                "{to:?} is no mark of this poll; expected {}",
                from.format.expected()
            )
        })?;
        cursor.watermark = Some(mark.to_string());
        return Ok(());
    }
    if let Some(windows) = &plan.division.windows {
        let Some(Mark::Time(end)) = windows.format.read_given(to) else {
            return Err(format!(
                "{to:?} is no end of a window; expected a time such as 2026-01-31"
            ));
        };
        cursor.window = Some(end.0);
        return Ok(());
    }
    if plan.division.resumption.is_some() {
        check_token(to)?;
        cursor.token = Some(to.to_owned());
        return Ok(());
    }
    Err("this poll has neither a watermark nor windows nor a token, so that there is nothing to set".to_owned())
}
