//! What a demo shows while it runs, and what it suggests. Nothing is wider than 80 columns, and the commands work as
//! they are printed.

use std::env;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::Micros;
use crate::out;
use crate::upstream::Sent;

/// Without a terminal, a line is printed after so many seconds.
const PLAIN_SECONDS: u64 = 5;

/// Whether somebody looks on.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The figures of a moment.
pub(super) struct Now {
    /// Since the start.
    pub(super) seconds: u64,
    /// How long the sample system sends.
    pub(super) of: u64,
    /// What it sent so far.
    pub(super) sent: Sent,
    /// Rows in the logs that are not in the lake.
    pub(super) unshipped: u64,
    /// Objects of events in the lake.
    pub(super) objects: usize,
}

/// One block that is drawn again and again on a terminal; a line now and then elsewhere.
pub(super) struct Screen(Option<ProgressBar>);

impl Screen {
    pub(super) fn new() -> Self {
        let bar = is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            match ProgressStyle::with_template("{msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self(bar)
    }

    pub(super) fn show(&self, now: &Now) {
        match &self.0 {
            Some(bar) => bar.set_message(now.block()),
            None if now.seconds.is_multiple_of(PLAIN_SECONDS) => out::line(now.line()),
            None => {}
        }
    }

    /// Leaves the last block where it is.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}

impl Now {
    fn block(&self) -> String {
        let Sent {
            events,
            accepted,
            dropped,
            duplicates,
            refused,
            quarantined,
            ..
        } = self.sent;
        format!(
            "\n{:>4} s of {} s\n\
             sent        {events:>9}   accepted   {accepted:>9}   dropped     {dropped:>9}\n\
             duplicates  {duplicates:>9}   refused    {refused:>9}   quarantined {quarantined:>9}\n\
             in the log  {:>9}   in the lake  {:>5} objects of events\n",
            self.seconds, self.of, self.unshipped, self.objects
        )
    }

    fn line(&self) -> String {
        let Sent {
            events, accepted, ..
        } = self.sent;
        format!(
            "{:>4} s  sent {events:>7}  accepted {accepted:>7}  in the log {:>6}  objects {:>4}",
            self.seconds, self.unshipped, self.objects
        )
    }
}

/// Where a demo runs.
pub(super) struct Place<'a> {
    /// Its directory, as it was given.
    pub(super) dir: &'a Path,
    /// The address of the service.
    pub(super) address: SocketAddr,
    /// The address of the console.
    pub(super) console: Option<SocketAddr>,
    /// The webhook for events.
    pub(super) webhook: &'a str,
}

impl Place<'_> {
    pub(super) fn introduce(&self, upstream: SocketAddr, sends_for: Duration, batch_seconds: u64) {
        let (address, lake) = (self.address, self.dir.join("lake"));
        if let Some(console) = self.console {
            out::line(format_args!(
                "console        http://{console}/: open it in a browser"
            ));
        }
        for line in [
            format!("sample system  http://{upstream}: sends events, and has users to poll"),
            format!("webhook        {}", self.webhook),
            format!("metrics        http://{address}/metrics"),
            format!("lake           {}", lake.display()),
            format!(
                "It sends for {} s. Every answer is durable at once; batches go to the lake",
                sends_for.as_secs()
            ),
            format!("after {batch_seconds} s. Ctrl-C ends it earlier."),
        ] {
            out::line(line);
        }
    }

    /// Says how to look at the lake with DuckDB, and how to get that.
    pub(super) fn say_how_to_query(&self) {
        let config = quoted(&self.dir.join("lakehook.toml"));
        out::line("");
        out::line("Query it with DuckDB:");
        out::line(format_args!("  {} sql duckdb \\", this_program()));
        out::line(format_args!("    --config {config} > views.sql"));
        if in_path("duckdb").is_some() {
            out::line("  duckdb -init views.sql -c \\");
            out::line("    \"SELECT event_type, count(*) FROM events GROUP BY ALL\"");
            return;
        }
        out::line("  python3 -m venv .duckdb && .duckdb/bin/pip install -q duckdb duckdb-cli");
        out::line("  .duckdb/bin/duckdb -init views.sql -c \\");
        out::line("    \"SELECT event_type, count(*) FROM events GROUP BY ALL\"");
    }

    /// Says how to send an event of one's own.
    pub(super) fn say_how_to_send(&self, now: Micros) {
        out::line("");
        out::line("It goes on serving until Ctrl-C. Send an event of your own:");
        out::line(format_args!("  curl -sS {} \\", self.webhook));
        out::line("    -H 'Content-Type: application/json' -d '{\"events\":[{");
        out::line("    \"event_id\":\"7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11\",\"user_id\":\"me\",");
        out::line("    \"event_type\":\"purchase\",\"source\":\"web\",");
        out::line(format_args!("    \"timestamp\":\"{now}\","));
        out::line("    \"properties\":{\"amount\":9.5,\"product_id\":\"p-1\"}}]}'");
        out::line("It is in the lake some seconds later, once, however often you send it.");
    }
}

/// Says what is left in the logs at the end.
pub(super) fn say_left(rows: u64) {
    match rows {
        0 => out::line("Stopped; everything is in the lake."),
        rows => out::line(format_args!(
            "Stopped; {rows} rows are safe in the log, and not in the lake yet."
        )),
    }
}

/// How this program can be called from here: by its name if that leads to it, or else by its path.
fn this_program() -> String {
    let Ok(path) = env::current_exe() else {
        return "lakehook".to_owned();
    };
    let is_this = |found: PathBuf| found.canonicalize().ok() == path.canonicalize().ok();
    if in_path("lakehook").is_some_and(is_this) {
        return "lakehook".to_owned();
    }
    let here = env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(below) => quoted(&Path::new(".").join(below)),
        Err(_) => quoted(&path),
    }
}

/// The program of that name that a shell would run.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@%,:".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_fits_80_columns() {
        let now = Now {
            seconds: 9999,
            of: 9999,
            sent: Sent {
                events: 999_999_999,
                accepted: 999_999_999,
                dropped: 999_999_999,
                duplicates: 999_999_999,
                refused: 999_999_999,
                quarantined: 999_999_999,
                ..Sent::default()
            },
            unshipped: 999_999_999,
            objects: 99_999,
        };
        for line in now.block().lines().chain(now.line().lines()) {
            assert!(line.chars().count() <= 80, "{line:?}");
        }
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(
            quoted(Path::new("./lakehook-demo/a.toml")),
            "./lakehook-demo/a.toml"
        );
        assert_eq!(quoted(Path::new("my demo/it's")), r"'my demo/it'\''s'");
    }
}
