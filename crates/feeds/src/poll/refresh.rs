//! A refresh token, and its successors: the newest is always stored before anything else happens.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::kept::Kept;
use super::trouble::Trouble;
use lakehook_base::secret::Secret;

/// The newest refresh token of an API.
#[derive(Debug)]
pub(super) struct RefreshToken {
    /// Names the configured token, from which all others descend.
    origin: String,
    file: String,
    kept: Option<Kept>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    newest: Secret,
    /// Whether it is in the file.
    is_stored: bool,
    /// Whether the file was read.
    is_read: bool,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Hash of the configured token: another one in the configuration is a new authorisation.
    origin: String,
    refresh_token: String,
}

impl RefreshToken {
    /// Begins with the configured token.
    pub(super) fn new(configured: Secret, api: &str, kept: Option<Kept>) -> Self {
        Self {
            origin: format!("{:032x}", xxh3_128(configured.expose().as_bytes())),
            file: format!("{api}.token"),
            kept,
            state: Mutex::new(State {
                newest: configured,
                is_stored: false,
                is_read: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest token, once it is stored: only then may it be used up.
    pub(super) fn ready(&self) -> Result<Secret, Trouble> {
        let mut state = self.state();
        if !state.is_read {
            if let Some(stored) = self.read()? {
                state.newest = stored;
                state.is_stored = true;
            }
            state.is_read = true;
        }
        if !state.is_stored {
            self.store(&mut state)?;
        }
        Ok(state.newest.clone())
    }

    /// Stores a successor. If that fails, it is stored before the next use.
    pub(super) fn replace(&self, new: Secret) -> Result<(), Trouble> {
        let mut state = self.state();
        state.newest = new;
        state.is_stored = false;
        self.store(&mut state)
    }

    fn kept(&self) -> Result<&Kept, Trouble> {
        self.kept.as_ref().ok_or_else(|| {
            Trouble::Final(
                "a refresh token would be used up, and its successor could not be stored, because \
                 another process holds the log of polls; ask the service instead"
                    .to_owned(),
            )
        })
    }

    /// The stored token, if it descends from the configured one.
    fn read(&self) -> Result<Option<Secret>, Trouble> {
        let kept = self.kept()?;
        let shown = || kept.path(&self.file).display().to_string();
        let bytes = kept.read(&self.file);
        let bytes = bytes
            .map_err(|error| Trouble::again(format!("failed to read {}: {error}", shown())))?;
        let Some(bytes) = bytes else { return Ok(None) };
        // The parser's message is left out because it may quote the token.
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| {
            Trouble::Final(format!(
                "{} holds no refresh token; authorise again, remove it, and set auth.refresh_token",
                shown()
            ))
        })?;
        Ok((stored.origin == self.origin).then(|| Secret::new(stored.refresh_token)))
    }

    fn store(&self, state: &mut State) -> Result<(), Trouble> {
        let kept = self.kept()?;
        let stored = Stored {
            origin: self.origin.clone(),
            refresh_token: state.newest.expose().to_owned(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other);
        let written = bytes.and_then(|bytes| kept.write(&self.file, &bytes));
        written.map_err(|error| {
            let path = kept.path(&self.file);
            Trouble::again(format!(
                "the refresh token cannot be stored in {}: {error}; nothing is used before it is",
                path.display()
            ))
        })?;
        state.is_stored = true;
        Ok(())
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
