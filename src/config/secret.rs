//! Text that is never printed, and files of it.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A longer file of secrets is none.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Everybody but the owner.
const MODE_OF_OTHERS: u32 = 0o077;

/// Text that is never printed. It can't be compared either: that is for constant-time code, on what
/// [`Secret::expose`] gives.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Not for logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// What a file of secrets holds.
#[derive(Debug)]
pub(super) struct SecretFile {
    /// Each with its line, from 1.
    pub(super) secrets: Vec<(usize, Secret)>,
    /// Whether others than the owner have any right to it.
    pub(super) is_open_to_others: bool,
}

impl SecretFile {
    /// Reads a file with one secret a line; empty lines and lines that start with `#` don't count.
    #[allow(
        clippy::disallowed_methods,
        reason = "configuration is read before anything durable"
    )]
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut text = String::new();
        let bytes = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if bytes as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        let lines = text.lines().map(str::trim).enumerate();
        let secrets = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(index, line)| (index + 1, Secret::new(line)))
            .collect();
        Ok(Self {
            secrets,
            is_open_to_others: mode & MODE_OF_OTHERS != 0,
        })
    }
}
