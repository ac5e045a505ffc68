//! Logs: to stderr, text on a terminal and JSON elsewhere. Never a secret, never a raw body.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The form of the program's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; a second call changes nothing.
pub fn start(level: LevelFilter, format: LogFormat) {
    // Of libraries only warnings: their details are theirs.
    let ours = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("lakehook", level);
    let terminal = io::stderr().is_terminal();
    let text = format == LogFormat::Text || format == LogFormat::Auto && terminal;
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(ours);
    let _started_before = if text {
        registry
            .with(layer.with_ansi(terminal).with_target(false))
            .try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
}
