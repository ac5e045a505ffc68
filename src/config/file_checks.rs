//! The rules of `[files.NAME]`: names of streams, and how the values of a section fit together.

use super::auth_checks;
use super::files::Inbox;
use super::findings::Findings;
use super::poll::children::IdKeys;
use super::poll_checks::{RESERVED_NAMES, VIEW_SUFFIXES, is_stream_name};
use super::poll_column_checks;
use super::sections::Config;
use super::simple;
use crate::inbox::definition::{Changed, FileFormat, FilesMode};
use crate::inbox::plan::encoding_of;

/// Reads the files of secrets.
pub(super) fn read_secrets(config: &mut Config, findings: &mut Findings<'_>) {
    for (name, files) in &mut config.files {
        let section = format!("files.{name}");
        let columns = &mut files.columns;
        poll_column_checks::read_keys(&section, columns, findings, auth_checks::read_secret);
    }
}

/// Checks every rule of files.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    for (name, files) in &config.files {
        let section = format!("files.{name}");
        simple::check(&section, files, findings);
        let mut problem = |keys: &[&str], rule: String| {
            let keys: Vec<String> = keys.iter().map(|key| format!("{section}.{key}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            findings.problem(&keys, rule);
        };
        for (keys, rule) in broken_rules(config, name, files) {
            problem(&keys, rule);
        }
        poll_column_checks::check(&section, &files.columns, findings);
    }
}

/// Rules that a section breaks, with their keys.
type Broken = Vec<(Vec<&'static str>, String)>;

fn broken_rules(config: &Config, name: &str, files: &Inbox) -> Broken {
    let mut broken = of_place(config, name, files);
    broken.extend(of_form(files));
    let mut add = |keys: &[&'static str], rule: &str| broken.push((keys.to_vec(), rule.to_owned()));
    if files.every.is_some() && files.cron.is_some() {
        add(
            &["every", "cron"],
            "every and cron are both set; remove one",
        );
    }
    if files.id.as_ref().is_some_and(IdKeys::is_empty) {
        add(&["id"], "must not be empty");
    }
    let is_name = |ready: &str| ready.contains("{name}") && !ready.contains('/');
    if files.ready.as_deref().is_some_and(|ready| !is_name(ready)) {
        add(
            &["ready"],
            "must be a name with {name} in it, such as \"{name}.ok\"",
        );
    }
    if files.guards.max_shrink.is_some() && files.mode == FilesMode::Append {
        add(
            &["guards.max_shrink", "mode"],
            "is for snapshots: an appended file is as large as it is; remove it",
        );
    }
    if files.changed == Changed::Replace && files.mode == FilesMode::Snapshot {
        add(
            &["changed", "mode"],
            "\"replace\" is for mode = \"append\": of a snapshot the newest file is the table anyway; set \"take\"",
        );
    }
    broken
}

/// Rules of the name and of the path.
fn of_place(config: &Config, name: &str, files: &Inbox) -> Broken {
    let mut broken = Broken::new();
    let mut add = |keys: &[&'static str], rule: &str| broken.push((keys.to_vec(), rule.to_owned()));
    if files.path.as_os_str().is_empty() {
        add(&["path"], "must name files, such as \"inbox/claims/*.csv\"");
    }
    if files.is_in_bucket() {
        let in_bucket = files.in_bucket();
        if in_bucket.is_none_or(|(bucket, key)| bucket.is_empty() || key.is_empty()) {
            add(
                &["path"],
                "must name a bucket and objects, such as \"s3://bucket/in/*.csv\"",
            );
        }
    }
    if RESERVED_NAMES.contains(&name) {
        add(
            &["path"],
            "the section has the name of a stream of our own; choose another",
        );
    } else if !is_stream_name(name) {
        add(
            &["path"],
            "the section's name is that of the stream in the lake: it must begin with a small letter and consist of at \
             most 64 small letters, digits and _",
        );
    } else if let Some(taken) = taken_name(config, name) {
        let rule = format!("{taken:?} is the name of another stream or view; choose another");
        broken.push((vec!["path"], rule));
    }
    broken
}

/// A name that the stream or one of its views shares with another stream or its views.
fn taken_name(config: &Config, name: &str) -> Option<String> {
    let is_stream = |own: &str| config.poll.contains_key(own) || config.call.contains_key(own);
    let is_view = VIEW_SUFFIXES.iter().any(|suffix| {
        let snapshot = name.strip_suffix(suffix);
        snapshot.is_some_and(|stream| config.poll.contains_key(stream))
    });
    if is_view || is_stream(name) {
        return Some(name.to_owned());
    }
    let views = VIEW_SUFFIXES.iter().map(|suffix| format!("{name}{suffix}"));
    let mut taken = views.filter(|own| is_stream(own) || config.files.contains_key(own));
    taken.next()
}

/// Rules of what a file looks like.
fn of_form(files: &Inbox) -> Broken {
    let mut broken = Broken::new();
    let mut add = |keys: &[&'static str], rule: &str| broken.push((keys.to_vec(), rule.to_owned()));
    if files.records.is_some() && files.format != FileFormat::Json {
        add(
            &["records", "format"],
            "records is for format = \"json\"; remove it",
        );
    }
    let is_pointer = |at: &str| at.is_empty() || at.starts_with('/');
    if files.records.as_deref().is_some_and(|at| !is_pointer(at)) {
        add(
            &["records"],
            "must be a JSON Pointer, such as \"/items\", or empty for the whole file",
        );
    }
    if files.csv.separator().is_none() {
        add(
            &["csv.delimiter"],
            "must be one ASCII character that is no quote and no line end",
        );
    }
    if encoding_of(&files.csv.encoding).is_none() {
        add(
            &["csv.encoding"],
            "must be a charset, such as \"utf-8\", \"latin1\" or \"utf-16le\"",
        );
    }
    broken
}
