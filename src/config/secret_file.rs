//! Files of secrets, one per line.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::findings::Findings;
use crate::secret::Secret;

/// Shorter tokens could be guessed.
const MIN_TOKEN_CHARS: usize = 16;
/// Larger files are refused.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The permission bits of everybody but the owner.
const MODE_OF_OTHERS: u32 = 0o077;
/// The same for a file of another user, such as a mounted secret of root's: we can read it as its group alone.
const MODE_OF_OTHERS_THAN_THE_GROUP: u32 = 0o007;

/// The contents of a file of secrets.
#[derive(Debug)]
pub(super) struct SecretFile {
    /// Each secret with its line, counted from 1.
    pub(super) secrets: Vec<(usize, Secret)>,
    /// Whether anybody but the owner has permissions on the file.
    pub(super) is_open_to_others: bool,
}

impl SecretFile {
    /// Reads a file with one secret per line; empty lines and lines that start with `#` are skipped.
    #[allow(
        clippy::disallowed_methods,
        reason = "configuration is read before anything durable"
    )]
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let text = text(file)?;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        let others = if is_ours {
            MODE_OF_OTHERS
        } else {
            MODE_OF_OTHERS_THAN_THE_GROUP
        };
        let lines = text.lines().map(str::trim).enumerate();
        let secrets = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(index, line)| (index + 1, Secret::new(line)))
            .collect();
        Ok(Self {
            secrets,
            is_open_to_others: metadata.permissions().mode() & others != 0,
        })
    }

    /// Warns if others than its owner can read it.
    pub(super) fn warn_if_open(&self, key: &str, path: &Path, findings: &mut Findings<'_>) {
        if self.is_open_to_others {
            let path = path.display();
            let text = format!("{path} can be read by others than its owner; chmod 600 it");
            findings.warning(key, &text);
        }
    }

    /// The text of a file that is a whole, and may be read by anybody.
    #[allow(
        clippy::disallowed_methods,
        reason = "configuration is read before anything durable"
    )]
    pub(super) fn text_of(path: &Path) -> io::Result<String> {
        text(File::open(path)?)
    }
}

/// What is wrong with a token; repeats nothing of it.
pub(super) fn fault_of_token(token: &Secret) -> Option<String> {
    let text = token.expose();
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Some("may hold no whitespace and only visible ASCII characters".to_owned());
    }
    (text.len() < MIN_TOKEN_CHARS).then(|| {
        format!(
            "must have at least {MIN_TOKEN_CHARS} characters; \"openssl rand -hex 32\" makes one"
        )
    })
}

fn text(file: File) -> io::Result<String> {
    let mut text = String::new();
    let bytes = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if bytes as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
