//! What the configuration says about the console.

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
    /// The lake, as its URL says.
    pub lake: String,
    /// Where events are sent to, for examples to copy: scheme, host and port.
    pub receives_at: String,
    /// Whether events may be any JSON.
    pub is_open: bool,
    /// How old a batch gets before it goes to the lake.
    pub batch_age: Duration,
}
