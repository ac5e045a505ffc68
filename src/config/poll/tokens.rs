//! The rules of `resume_from` and `resume_into`.

use crate::poll::definition::{Definition, Mode};
use crate::poll::tokens::Resumption;

/// The rules that the token of a poll breaks, each with its keys. `uses_token` says whether the request
/// holds `{token}`.
pub(in super::super) fn broken_rules(
    poll: &Definition,
    uses_token: bool,
) -> Vec<(Vec<String>, String)> {
    let mut broken = Vec::new();
    let mut add = |keys: &[&str], rule: &str| {
        let keys = keys.iter().map(|key| (*key).to_owned());
        broken.push((keys.collect(), rule.to_owned()));
    };
    if let Err((key, rule)) = Resumption::new(&poll.token, &poll.request, uses_token) {
        add(&[key], &format!("{key} {rule}"));
    }
    if poll.token.begins && poll.mode == Mode::Snapshot {
        add(
            &["pagination.begin", "mode"],
            "a token is for mode = \"append\"; a snapshot begins with the first page",
        );
    }
    if poll.token.from.is_some() {
        if poll.mode == Mode::Snapshot {
            add(
                &["resume_from", "mode"],
                "a token is for mode = \"append\"; a snapshot is a whole copy",
            );
        }
        for (key, is_set) in [
            ("watermark", !poll.watermark.is_empty()),
            ("window", poll.window.is_some()),
            ("each", poll.each.is_some()),
        ] {
            if is_set {
                add(
                    &["resume_from", key],
                    &format!("a poll asks by a token or by {key}; remove one of them"),
                );
            }
        }
    }
    broken
}
