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
    let (filter, refused) = filter(level, std::env::var("RUST_LOG").ok());
    let terminal = io::stderr().is_terminal();
    let text = format == LogFormat::Text || format == LogFormat::Auto && terminal;
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let _started_before = if text {
        registry
            .with(
                layer
                    .with_ansi(terminal && !is_colour_refused())
                    .with_target(false),
            )
            .try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
    if let Some(error) = refused {
        tracing::warn!(error, "RUST_LOG is ignored");
    }
}

/// What is logged: by `RUST_LOG`, such as `info,lakehook::ship=debug`, or else by the configuration. The second
/// value says why `RUST_LOG` cannot be used.
fn filter(level: LevelFilter, rust_log: Option<String>) -> (Targets, Option<String>) {
    // Of libraries only warnings: their details are theirs. The prefix covers all of our crates.
    let ours = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("lakehook", level);
    match rust_log.filter(|text| !text.is_empty()) {
        None => (ours, None),
        Some(text) => match text.parse::<Targets>() {
            Ok(targets) => (targets, None),
            Err(error) => (ours, Some(error.to_string())),
        },
    }
}

/// Whether the user wants no colours (<https://no-color.org>).
fn is_colour_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn rust_log_sets_the_level_of_each_module() {
        let (targets, refused) =
            filter(LevelFilter::INFO, Some("warn,lakehook::ship=debug".into()));
        assert_eq!(refused, None);
        assert!(targets.would_enable("lakehook::ship::shipper", &Level::DEBUG));
        assert!(!targets.would_enable("lakehook::serve", &Level::INFO));
        let (targets, refused) = filter(LevelFilter::INFO, Some("ship=loud".into()));
        assert!(refused.is_some());
        assert!(targets.would_enable("lakehook::serve", &Level::INFO));
        assert!(targets.would_enable("lakehook_feeds::poll", &Level::INFO));
        assert!(!targets.would_enable("hyper", &Level::INFO));
    }
}
