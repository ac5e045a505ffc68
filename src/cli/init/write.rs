//! Writes a proposal: the section behind a configuration, the schema into a file of its own. Nothing is replaced.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::files::{Disk, Files as _, create_dir_durably, parent_of, write_durably};

/// Whether the configuration has a poll of that name, as far as its lines tell.
pub(super) fn has(config: &Path, name: &str) -> io::Result<bool> {
    let text = match std::fs::read_to_string(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        text => text?,
    };
    let sections = [format!("[poll.{name}]"), format!("[poll.{name}.")];
    let mut lines = text.lines().map(|line| line.trim().replace(' ', ""));
    Ok(lines.any(|line| sections.iter().any(|section| line.starts_with(section))))
}

/// Writes a schema beside the configuration; refuses to replace one.
pub(super) fn schema(config: &Path, file: &str, schema: &Value) -> anyhow::Result<PathBuf> {
    let path = parent_of(config).join(file);
    let at = || format!("failed to write {}", path.display());
    if Disk.exists(&path) {
        bail!(
            "{} is there already; move it away, or give another --name",
            path.display()
        );
    }
    create_dir_durably(&Disk, parent_of(&path), false).with_context(at)?;
    let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
    write_durably(&Disk, &path, text.as_bytes()).with_context(at)?;
    Ok(path)
}

/// Appends a section to the configuration, which is created if it is new.
#[allow(
    clippy::disallowed_methods,
    reason = "the configuration is a person's file: it keeps its owner and its rights"
)]
pub(super) fn section(config: &Path, section: &str) -> anyhow::Result<()> {
    let at = || format!("failed to write {}", config.display());
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(config)
        .with_context(at)?;
    let gap = if file.metadata().with_context(at)?.len() > 0 {
        "\n"
    } else {
        ""
    };
    file.write_all(format!("{gap}{section}").as_bytes())
        .with_context(at)?;
    file.sync_all().with_context(at)
}
