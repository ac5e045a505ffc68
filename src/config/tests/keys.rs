//! Configured names that become part of an object's key cannot lead anywhere else.

use super::load;

/// Names that would mean something else in a path, a URL or a listing; written in TOML's own escapes.
const HOSTILE: [&str; 22] = [
    "",
    ".",
    "..",
    "../up",
    "a/../b",
    "/",
    "/etc",
    "a//b",
    "a\\\\b",
    "%2e%2e",
    "%2e%2e%2fup",
    "a%00",
    "a\\u0000b",
    "a\\nb",
    "a\\rb",
    "a b",
    "a\\tb",
    "é",
    "a?b",
    "a#b",
    "_lakehook",
    "*",
];

fn refused(text: &str) {
    let error = load(text, &[]);
    assert!(error.is_err(), "taken: {text}");
}

#[test]
fn names_of_polls_are_words() {
    for name in HOSTILE {
        refused(&format!(
            "[poll.\"{name}\"]\nurl = \"http://localhost/\"\nid = \"id\"\nevery = \"1h\""
        ));
    }
    // This is longer than the name of any file may be.
    let long = "a".repeat(300);
    refused(&format!(
        "[poll.{long}]\nurl = \"http://localhost/\"\nid = \"id\"\nevery = \"1h\""
    ));
}

#[test]
fn names_of_hooks_are_words() {
    // Names of hooks are in paths and rows but not in keys, where `_lakehook` is a name like any other.
    for name in HOSTILE.into_iter().filter(|name| *name != "_lakehook") {
        refused(&format!(
            "[hook.\"{name}\"]\nscheme = \"github\"\nsecrets = [\"a long enough secret\"]"
        ));
    }
}

#[test]
fn patterns_of_partitions_stay_below_their_stream() {
    for part in HOSTILE {
        for pattern in [
            format!("dt=%Y-%m-%d/{part}"),
            format!("{part}/dt=%Y-%m-%d"),
            format!("dt=%Y-%m-%d{part}/x=%H"),
        ] {
            // As one part of a longer name, these are harmless.
            let harmless = matches!(part, "" | "." | ".." | "_lakehook");
            if harmless && pattern.ends_with("/x=%H") || part == "_lakehook" {
                continue;
            }
            refused(&format!("events.partition = \"{pattern}\""));
        }
    }
}
