//! Which of the configured feeds of a kind a command means.

use std::collections::BTreeMap;

use crate::cli::exit::Failure;

/// The named ones, each once and in order, or all of them if none is named. `what` is what one of them is called, and
/// `none` the message if there are none.
pub(super) fn chosen<T>(
    configured: &BTreeMap<String, T>,
    mut names: Vec<String>,
    (what, none): (&str, &str),
) -> Result<Vec<String>, Failure> {
    if configured.is_empty() {
        return Err(Failure::Usage(none.to_owned()));
    }
    let known = || configured.keys().cloned().collect::<Vec<_>>();
    if let Some(unknown) = names.iter().find(|name| !configured.contains_key(*name)) {
        let known = known().join(", ");
        let message = format!("lakehook: there is no {what} {unknown:?}; configured are {known}");
        return Err(Failure::Usage(message));
    }
    if names.is_empty() {
        names = known();
    }
    names.sort();
    names.dedup();
    Ok(names)
}
