//! The virtual environment with DuckDB and moto, made by `tests/python/setup.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python of the virtual environment: `$LAKEHOOK_VENV`, else `.venv` of the repository.
///
/// Panics if there is none, and says how to make it: a skipped test would prove nothing.
pub(crate) fn python() -> PathBuf {
    let given = std::env::var_os("LAKEHOOK_VENV").map(PathBuf::from);
    let venv = given.unwrap_or_else(|| repository().join(".venv"));
    let python = venv.join("bin/python");
    assert!(
        python.exists(),
        "there is no {}: run `make setup`, or set LAKEHOOK_VENV",
        python.display()
    );
    python
}

/// A command that runs a script of `tests/python`; its arguments are to be added.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(repository().join("tests/python").join(name));
    command
}
