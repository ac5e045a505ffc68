//! What the configuration says about the console.

use std::path::PathBuf;
use std::time::Duration;

use crate::receive::client::Tokens;

/// Settings of the console.
#[derive(Clone, Default)]
pub struct ConsoleSettings {
    /// The tokens to log in with; if there are none, whoever reaches the address may look.
    pub tokens: Tokens,
    /// Names by which browsers reach the console, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Whether values of events are shown.
    pub shows_values: bool,
    /// Whether the console speaks TLS.
    pub has_tls: bool,
    /// The streams of the configuration, events first.
    pub streams: Vec<String>,
    /// Hooks, and the paths of all of them.
    pub hooks: Vec<String>,
    /// Their paths.
    pub hook_paths: Vec<String>,
    /// The schemas of events' properties, as text, by type.
    pub schemas: Vec<(String, String)>,
    /// The directory of the log of events.
    pub log_dir: PathBuf,
    /// Every setting that is in force.
    pub effective: Vec<ShownSetting>,
    /// Polls, calls and inboxes, by name.
    pub feeds: Vec<FeedSetting>,
    /// The lake, as its URL says.
    pub lake: String,
    /// Where events are sent to, for examples to copy: scheme, host and port.
    pub receives_at: String,
    /// Whether events may be any JSON.
    pub is_open: bool,
    /// How old a batch gets before it goes to the lake.
    pub batch_age: Duration,
}

/// What the configuration says about a poll, a call or an inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedSetting {
    /// The name of its stream.
    pub name: String,
    /// What it is and whom it asks, in a few words; no secret.
    pub about: String,
    /// How often it runs, …
    pub every: Option<Duration>,
    /// … or when, in words.
    pub schedule: String,
}

/// A setting that is in force; masked if it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its section, such as `server`.
    pub section: String,
    /// Its key within the section.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// Where it was set; `None` for a default.
    pub origin: Option<String>,
}
