//! The rules of polls: their names, and how their values fit together. The rules of single values stand
//! beside their keys.

use std::path::Path;

use http::HeaderName;

use super::api_checks;
use super::auth_checks;
use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::poll::children::IdKeys;
use super::poll::{children, marks, tokens, windows};
use super::poll_column_checks;
use super::poll_page_checks;
use super::polls::Poll;
use super::rules::{OWN_HEADERS, is_unencrypted};
use super::sections::Config;
use super::simple;
use crate::poll::definition::{AuthKind, Mode};

/// Names of built-in streams, which a poll may not have.
pub(super) const RESERVED_NAMES: [&str; 3] = ["events", "quarantine", "lake_watermark"];
/// Suffixes of the views that a snapshot's stream gets; no other poll may be named like one of these views.
pub(super) const VIEW_SUFFIXES: [&str; 3] = ["_runs", "_all_runs", "_history"];
const MAX_NAME_CHARS: usize = 64;
/// Checks every rule of polls.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    api_checks::check(config, findings);
    if config.poll.is_empty() && config.call.is_empty() && config.files.is_empty() {
        return;
    }
    simple::check("polls", &config.polls, findings);
    directories(config, findings);
    for (name, poll) in &config.poll {
        for suffix in VIEW_SUFFIXES {
            let view = format!("{name}{suffix}");
            if poll.mode == Mode::Snapshot && config.poll.contains_key(&view) {
                let rule = format!(
                    "{view:?} is the name of a view of the snapshot {name:?}; choose another"
                );
                findings.problem(&[&format!("poll.{view}"), "poll"], rule);
            }
        }
        let current = format!("{name}_current");
        if poll.mode == Mode::Append && poll.id.is_some() && config.poll.contains_key(&current) {
            let rule = format!(
                "{current:?} is the name of a view of the current records of {name:?}; choose another"
            );
            findings.problem(&[&format!("poll.{current}"), "poll"], rule);
        }
        api_checks::check_poll(config, name, poll, findings);
        let section = format!("poll.{name}");
        auth_checks::check(&section, &poll.auth, findings);
        let api = poll.api.as_ref().and_then(|api| config.api.get(api));
        // The API's own values are checked there.
        let values = Poll {
            auth: poll.auth.clone(),
            allow_hosts: poll.allow_hosts.clone(),
            ..poll.complete(api)
        };
        simple::check(&section, &values, findings);
        let (own, poll) = (poll, poll.complete(api));
        let mut rules = PollRules {
            name,
            poll: &poll,
            own,
            findings,
        };
        rules.check();
        rules.children(config);
    }
}

/// Reads the files of secrets that polls and APIs name.
pub(super) fn read_secrets(config: &mut Config, findings: &mut Findings<'_>) {
    for (name, api) in &mut config.api {
        auth_checks::read_secrets(&format!("api.{name}"), &mut api.auth, findings);
    }
    for (name, poll) in &mut config.poll {
        let section = format!("poll.{name}");
        let columns = &mut poll.columns;
        poll_column_checks::read_keys(&section, columns, findings, auth_checks::read_secret);
        auth_checks::read_secrets(&format!("poll.{name}"), &mut poll.auth, findings);
    }
}

fn directories(config: &Config, findings: &mut Findings<'_>) {
    let dir = &config.polls.dir;
    let overlaps = |other: &Path| dir.starts_with(other) || other.starts_with(dir);
    if overlaps(&config.wal.dir) {
        findings.problem(
            &["polls.dir", "wal.dir"],
            "polls.dir and wal.dir must not be the same or contain one another; put them side by side",
        );
    }
    if let LakeUrl::Directory(lake) = &config.lake.url
        && overlaps(lake)
    {
        findings.problem(
            &["polls.dir", "lake.url"],
            "polls.dir and the lake must not be the same or contain one another; put them side by side",
        );
    }
}

/// Whether a name can be that of a stream in the lake.
pub(super) fn is_stream_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_plain)
        && name.len() <= MAX_NAME_CHARS
}

/// The rules of one poll.
pub(super) struct PollRules<'a, 'f, 's> {
    name: &'a str,
    /// The poll with all that it has from its API.
    pub(super) poll: &'a Poll,
    /// The poll as it is configured.
    pub(super) own: &'a Poll,
    findings: &'f mut Findings<'s>,
}

impl PollRules<'_, '_, '_> {
    fn check(&mut self) {
        self.stream_name();
        self.url();
        self.request();
        self.pages();
        self.placeholders();
        self.schedule();
        self.watermark();
        self.guards();
        let section = format!("poll.{}", self.name);
        poll_column_checks::check(&section, &self.poll.columns, self.findings);
    }

    /// Reports a broken rule about keys of this poll.
    pub(super) fn problem(&mut self, keys: &[&str], rule: impl Into<String>) {
        let full: Vec<String> = keys
            .iter()
            .map(|key| format!("poll.{}.{key}", self.name))
            .collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        self.findings.problem(&full, rule);
    }

    fn warning(&mut self, key: &str, text: &str) {
        self.findings
            .warning(&format!("poll.{}.{key}", self.name), text);
    }

    fn stream_name(&mut self) {
        let name = self.name;
        let rule = if RESERVED_NAMES.contains(&name) {
            format!("{name:?} is the name of a stream of our own; choose another for the poll")
        } else if !is_stream_name(name) {
            format!(
                "{name:?} must begin with a small letter and consist of at most {MAX_NAME_CHARS} small \
                 letters, digits and _: it is the stream's name in the lake"
            )
        } else {
            return;
        };
        self.findings
            .problem(&[&format!("poll.{name}"), "poll"], rule);
    }

    fn url(&mut self) {
        let poll = self.poll;
        let is_own = poll.api.is_none();
        if is_own && poll.auth.r#type != AuthKind::None && is_unencrypted(&poll.url) {
            self.warning("url", "credentials are sent unencrypted; use https");
        }
    }

    /// Checks the names of headers. Their values are templates, which have rules of their own.
    fn request(&mut self) {
        for name in self.own.headers.keys() {
            let lower = name.to_ascii_lowercase();
            let rule = if HeaderName::from_bytes(name.as_bytes()).is_err() {
                format!("{name:?} is no name of a header")
            } else if OWN_HEADERS.contains(&lower.as_str()) {
                format!("{name} is set by the program itself; remove it")
            } else if self.poll.auth.sets_header(&lower) {
                format!("{name} is set by auth.type; remove one of them")
            } else {
                continue;
            };
            self.problem(&["headers"], rule);
        }
    }

    fn pages(&mut self) {
        let found = poll_page_checks::check(self.poll);
        for fault in found.problems {
            let keys: Vec<&str> = fault.keys.iter().map(String::as_str).collect();
            self.problem(&keys, fault.rule);
        }
        for (key, text) in found.warnings {
            self.warning(key, &text);
        }
    }

    fn schedule(&mut self) {
        let poll = self.poll;
        if poll.every.is_some() && poll.cron.is_some() {
            self.problem(
                &["every", "cron"],
                "every and cron are both set; remove one",
            );
        }
    }

    fn children(&mut self, config: &Config) {
        if self.poll.id.as_ref().is_some_and(IdKeys::is_empty) {
            self.problem(&["id"], "must not be empty");
        }
        let has_current = self.poll.mode == Mode::Append && self.poll.id.is_some();
        if self.poll.deleted.is_some() && !has_current {
            self.problem(
                &["deleted"],
                "is for mode = \"append\" with an id: only there a view of current records leaves out deleted ones",
            );
        }
        let known = |name: &str| {
            let poll = config.poll.get(name)?;
            Some(poll.each.as_ref().map(|each| each.of.clone()))
        };
        let uses = |name: &str| self.uses(name);
        let broken = children::broken_rules(self.name, &self.poll.definition(None), &known, &uses);
        for (keys, rule) in broken {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            self.problem(&keys, rule);
        }
    }

    fn watermark(&mut self) {
        let poll = self.poll.definition(None);
        let uses_until = self.uses("until");
        let of_windows = windows::broken_rules(&poll, uses_until);
        let of_tokens = tokens::broken_rules(&poll, self.uses("token"));
        let of_others = of_windows.into_iter().chain(of_tokens);
        for (keys, rule) in marks::broken_rules(&poll).into_iter().chain(of_others) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            self.problem(&keys, rule);
        }
    }
}

impl PollRules<'_, '_, '_> {
    fn guards(&mut self) {
        let guards = &self.poll.guards;
        for (key, is_set) in [
            ("guards.min_records", guards.min_records.is_some()),
            ("guards.max_shrink", guards.max_shrink.is_some()),
        ] {
            if is_set && self.poll.mode == Mode::Append {
                let rule = format!(
                    "{key} is for snapshots: an appending run reads what is new, however little that is; remove it"
                );
                self.problem(&[key, "mode"], rule);
            }
        }
    }
}
