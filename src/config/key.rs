//! Keys of settings, such as `server.listen`.

/// The parts of a key, such as `server` and `listen`.
pub(super) type Key = Vec<String>;

/// Splits the dotted form of a key.
pub(super) fn key_of(dotted: &str) -> Key {
    dotted.split('.').map(str::to_owned).collect()
}

/// Joins a key to its dotted form.
pub(super) fn shown(key: &[String]) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|part| part.escape_debug().to_string())
        .collect();
    parts.join(".")
}
