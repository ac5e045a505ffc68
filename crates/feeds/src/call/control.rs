//! The protocol by which `lakehook call` asks a running service for runs: the client sends one [`Request`],
//! and gets one [`Line`] for each call.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pending::DIRECTORY;
use super::report::Report;
use super::run::Wish;
use crate::control::Talk;

pub(super) const MAX_REQUEST: u64 = 64 << 10;
/// Most bytes of an answer, which may describe many requests.
const MAX_LINE: u64 = 4 << 20;

/// The runs that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Names of calls.
    pub calls: Vec<String>,
    /// What is asked of each run.
    pub wish: Wish,
}

/// How the run of a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It did not fail.
    Done {
        /// Name of the call.
        call: String,
        /// What it has done.
        report: Box<Report>,
    },
    /// It failed.
    Failed {
        /// Name of the call.
        call: String,
        /// The error.
        error: String,
    },
}

/// Asks the service that holds the lock of a directory, and passes on its lines.
pub async fn ask_service(
    dir: &Path,
    request: &Request,
    tell: &mut dyn FnMut(Line),
) -> io::Result<()> {
    let mut talk = Talk::connect(&dir.join(DIRECTORY))?;
    talk.say(request).await?;
    while let Some(line) = talk.hear(MAX_LINE).await? {
        tell(line);
    }
    Ok(())
}
