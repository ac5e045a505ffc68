//! The rules of a poll's requests: their bodies, and the placeholders in them.

use super::poll_checks::PollRules;
use crate::poll::definition::{Mode, PaginationKind, Verb};
use crate::poll::template::{JsonTemplate, NAMES, Template, UrlTemplate, Values};

impl PollRules<'_, '_, '_> {
    /// Checks bodies, and every placeholder of the requests.
    pub(super) fn placeholders(&mut self) {
        self.body();
        self.header_values();
        for (key, name) in self.used() {
            if let Some(rule) = self.fault_of(&name) {
                self.problem(&[key], rule);
            }
        }
        self.names_in_the_path();
        self.said_twice();
    }

    /// Whether a placeholder of this name stands in a request.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.used().iter().any(|(_, own)| own == name)
    }

    /// The names that this poll defines itself, in addition to those of every poll.
    fn own_names(&self) -> Vec<&str> {
        let each = self.poll.each.iter();
        each.flat_map(|each| each.set.keys().map(String::as_str))
            .collect()
    }

    /// Every placeholder with the key that it stands in.
    fn used(&self) -> Vec<(&'static str, String)> {
        let poll = self.poll;
        let mut used = Vec::new();
        let mut add = |key, name: &str| used.push((key, name.to_owned()));
        if let Ok(url) = UrlTemplate::parse(&poll.url) {
            let key = if poll.api.is_some() { "path" } else { "url" };
            url.names().for_each(|name| add(key, name));
        }
        for (key, fields) in [
            ("query", &poll.query),
            ("headers", &poll.headers),
            ("form", &poll.form),
        ] {
            for value in fields.values() {
                let template = Template::parse(value.expose());
                template.names().for_each(|name| add(key, name));
            }
        }
        if let Some(body) = &poll.body {
            let template = JsonTemplate::parse(body.expose());
            template
                .names()
                .into_iter()
                .for_each(|name| add("body", name));
        }
        if let Some(then) = &poll.pagination.then {
            for name in then.names() {
                add("pagination.then", &name);
            }
        }
        used
    }

    /// Why a placeholder never has a value; `None` if it can have one.
    fn fault_of(&self, name: &str) -> Option<String> {
        let poll = self.poll;
        let paging = poll.pagination.r#type;
        let needs = match name {
            _ if self.own_names().contains(&name) => return None,
            "now" | "run_start" => return None,
            "cursor" if paging != PaginationKind::Cursor => "pagination.type = \"cursor\"",
            "offset" if paging != PaginationKind::Offset => "pagination.type = \"offset\"",
            "page" if paging != PaginationKind::Page => "pagination.type = \"page\"",
            "limit" if poll.pagination.limit.is_none() => "pagination.limit",
            "mark"
                if poll.mode != Mode::Append
                    || poll.watermark.field.is_none() && poll.window.is_none() =>
            {
                "mode = \"append\" and watermark.field"
            }
            "token" if poll.resume_from.is_none() => "resume_from",
            "until" if poll.window.is_none() => "a window",
            _ if NAMES.iter().any(|(known, _)| *known == name) => return None,
            _ => {
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                return Some(format!(
                    "{{{name}}} is no placeholder; known are {}. If the text itself is meant, write \
                     {{{{{name}}}}}, or blanks within the braces",
                    known.join(", ")
                ));
            }
        };
        Some(format!(
            "{{{name}}} never has a value here; it needs {needs}"
        ))
    }

    fn body(&mut self) {
        let poll = self.poll;
        let has_form = !poll.form.is_empty();
        if poll.body.is_some() && has_form {
            self.problem(
                &["body", "form"],
                "a request has one body: set body for JSON or form, not both",
            );
        }
        if (poll.body.is_some() || has_form) && poll.method == Verb::Get {
            let key = if has_form { "form" } else { "body" };
            let rule = "a GET request has no body; set method = \"POST\", or remove it";
            self.problem(&[key, "method"], rule);
        }
    }

    fn header_values(&mut self) {
        for (name, value) in &self.own.headers {
            let template = Template::parse(value.expose());
            let mut values = Values::default();
            template.names().for_each(|name| values.set(name, "0"));
            if template.header(&values).is_err() {
                let rule = format!("the value of {name} holds characters that no header may have");
                self.problem(&["headers"], rule);
            }
        }
    }

    /// A segment of the path cannot be left out, so its value must exist from the first request on.
    fn names_in_the_path(&mut self) {
        let path = self.poll.url.split('?').next().unwrap_or_default();
        let names: Vec<String> = Template::parse(path).names().map(str::to_owned).collect();
        let has_start = self.poll.watermark.start.is_some() || self.poll.window.is_some();
        for name in names {
            if name == "cursor" {
                let rule = "{cursor} may not stand in the path: the first page has no cursor yet";
                self.problem(&["url", "path"], rule);
            }
            if name == "mark" && !has_start && self.fault_of("mark").is_none() {
                let rule =
                    "{mark} in the path needs a value for the first run: set watermark.start";
                self.problem(&["url", "path", "watermark.start"], rule);
            }
        }
    }

    /// A value that a placeholder stands for is not sent as a parameter as well.
    fn said_twice(&mut self) {
        let paging = &self.poll.pagination;
        for (name, key, is_set) in [
            ("cursor", "pagination.param", paging.param.is_some()),
            ("offset", "pagination.param", paging.param.is_some()),
            ("page", "pagination.param", paging.param.is_some()),
            (
                "limit",
                "pagination.limit_param",
                paging.limit_param.is_some(),
            ),
            (
                "mark",
                "watermark.param",
                self.poll.watermark.param.is_some(),
            ),
        ] {
            if is_set && self.uses(name) {
                let rule =
                    format!("{key} and {{{name}}} both say where the value goes; remove one");
                self.problem(&[key], rule);
            }
        }
    }
}
