//! The rules of calls: their names, and how their values fit together. The rules of single values stand
//! beside their keys.

use http::HeaderName;

use super::calls::Call;
use super::findings::Findings;
use super::poll_checks::RESERVED_NAMES;
use super::rules::OWN_HEADERS;
use super::sections::Config;
use super::simple;
use crate::poll::definition::Verb;
use crate::poll::template::{Template, UrlTemplate};

/// Suffixes of the other streams and views that a call has.
const SUFFIXES: [&str; 2] = ["_sent", "_current"];
const MAX_NAME_CHARS: usize = 58;

/// Checks every rule of calls.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    for (name, call) in &config.call {
        simple::check(&format!("call.{name}"), call, findings);
        let mut rules = CallRules {
            name,
            call,
            findings,
        };
        rules.name(config);
        rules.api(config);
        rules.places();
        rules.lookup();
        rules.header();
    }
}

struct CallRules<'a, 'f, 's> {
    name: &'a str,
    call: &'a Call,
    findings: &'f mut Findings<'s>,
}

impl CallRules<'_, '_, '_> {
    fn problem(&mut self, keys: &[&str], rule: impl Into<String>) {
        let full = keys.iter().map(|key| format!("call.{}.{key}", self.name));
        let full: Vec<String> = full.collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        self.findings.problem(&full, rule);
    }

    fn name(&mut self, config: &Config) {
        let name = self.name;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_sound =
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_plain);
        let taken = SUFFIXES.iter().map(|suffix| format!("{name}{suffix}"));
        let taken = taken.chain([name.to_owned()]);
        let mut taken = taken.filter(|own| {
            config.poll.contains_key(own)
                || config.files.contains_key(own)
                || own != name && config.call.contains_key(own)
        });
        let rule = if RESERVED_NAMES.contains(&name) {
            format!("{name:?} is the name of a stream of our own; choose another for the call")
        } else if !is_sound || name.len() > MAX_NAME_CHARS {
            format!(
                "{name:?} must begin with a small letter and consist of at most {MAX_NAME_CHARS} small \
                 letters, digits and _: it is the stream's name in the lake"
            )
        } else if let Some(taken) = taken.next() {
            format!("{taken:?} is the name of another stream; choose another for the call")
        } else {
            return;
        };
        self.findings
            .problem(&[&format!("call.{name}"), "call"], rule);
    }

    fn api(&mut self, config: &Config) {
        let call = self.call;
        if !self.findings.is_set(&format!("call.{}.rows", self.name)) {
            self.problem(
                &["rows"],
                "must name the files of the outbox, such as \"outbox/*.ndjson\"",
            );
        }
        if !config.api.contains_key(&call.api) {
            let known: Vec<&str> = config.api.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                "add a section [api.NAME] with a url, and name it".to_owned()
            } else {
                format!("known are {}", known.join(", "))
            };
            self.problem(&["api"], format!("there is no API {:?}; {hint}", call.api));
        }
        if !call.path.is_empty() && !call.path.starts_with(['/', '?']) {
            self.problem(
                &["path"],
                "must start with a slash, such as \"/v1/compute\"",
            );
        }
        let url = UrlTemplate::parse(&format!("http://localhost{}", call.path));
        let in_url = url.iter().flat_map(UrlTemplate::names).map(str::to_owned);
        let fields = call.query.values().chain(call.headers.values());
        let fields: Vec<Template> = fields
            .map(|value| Template::parse(value.expose()))
            .collect();
        let in_fields = fields.iter().flat_map(Template::names).map(str::to_owned);
        let names: Vec<String> = in_url.chain(in_fields).collect();
        if let Some(name) = names.first().filter(|_| call.key.is_none()) {
            let rule = format!(
                "{{{name}}} is a placeholder for a member of a row, which only a lookup (key) has"
            );
            self.problem(&["path", "key"], rule);
        }
    }

    fn places(&mut self) {
        let call = self.call;
        let success = call.success.as_ref();
        let pointers = [
            ("body", Some(&call.body)),
            ("records", Some(&call.records)),
            ("failures", call.failures.as_ref()),
            ("success", success.map(|success| &success.pointer)),
        ];
        for (key, pointer) in pointers {
            if pointer.is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                self.problem(
                    &[key],
                    "must be a JSON Pointer, which starts with a slash, such as \"/value\"",
                );
            }
        }
        if success.is_some_and(|success| success.values.is_empty()) {
            self.problem(
                &["success"],
                "needs values, such as { pointer = \"/status\", values = [200] }",
            );
        }
        if call.id.as_ref().is_some_and(|id| id.keys().is_empty()) {
            self.problem(&["id"], "must not be empty");
        }
    }

    fn lookup(&mut self) {
        let call = self.call;
        if call.key.is_none() {
            for (key, is_set) in [
                ("fresh", call.fresh.is_some()),
                ("missing", !call.missing.is_empty()),
            ] {
                if is_set {
                    self.problem(
                        &[key, "key"],
                        format!("{key} is for lookups; set key, or remove it"),
                    );
                }
            }
            if call.method == Verb::Get {
                self.problem(
                    &["method"],
                    "\"GET\" has no body for rows; set key for a lookup, or another method",
                );
            }
        } else if call.group.is_some() {
            self.problem(
                &["group", "key"],
                "a lookup asks for each key alone; remove group",
            );
        }
        if call
            .missing
            .iter()
            .any(|status| !(400..500).contains(status))
        {
            self.problem(
                &["missing"],
                "must be statuses from 400 to 499, such as 404",
            );
        }
    }

    fn header(&mut self) {
        let names = self
            .call
            .headers
            .keys()
            .chain(&self.call.idempotency_header);
        let names: Vec<String> = names.cloned().collect();
        for name in names {
            let is_own = OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            if is_own || HeaderName::from_bytes(name.as_bytes()).is_err() {
                let rule = format!("{name:?} is no name of a header that may be set");
                self.problem(&["headers", "idempotency_header"], rule);
            }
        }
    }
}
