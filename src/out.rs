//! The only place that writes to stdout: results go there, logs to stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line of a result. If the reader has gone away, the rest is discarded; the program goes on.
#[allow(
    clippy::print_stdout,
    reason = "this is the module that writes to stdout"
)]
pub fn line(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _reader_is_gone = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Writes bytes of a result as they are.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
