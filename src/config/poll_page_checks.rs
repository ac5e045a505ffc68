//! The rules of pages: how the keys fit together that say what a page looks like, and how one leads to
//! the next.

use super::polls::Poll;
use crate::poll::definition::{Mode, PaginationKind, Verb};
use crate::poll::form::{Begin, BodyFormat, NextAs, RecordsAs, Step, Stop};
use crate::poll::place::{Place, Source};
use crate::poll::template::UrlTemplate;

/// What is wrong, and the keys that it is about.
pub(super) struct Fault {
    pub(super) keys: Vec<String>,
    pub(super) rule: String,
}

/// All that is found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Fault>,
    /// What is allowed and probably a mistake, by key.
    pub(super) warnings: Vec<(&'static str, String)>,
}

/// A place in the body that a key names.
struct Named {
    key: &'static str,
    place: Place,
}

/// Checks the pages of a poll.
pub(super) fn check(poll: &Poll) -> Found {
    let mut checks = Checks {
        poll,
        found: Found::default(),
    };
    let named = checks.places();
    checks.places_apart(&named);
    checks.records();
    checks.format(&named);
    checks.kind();
    checks.steering();
    checks.by_cursor();
    checks.parameters();
    checks.found
}

struct Checks<'a> {
    poll: &'a Poll,
    found: Found,
}

impl Checks<'_> {
    fn problem(&mut self, keys: &[&str], rule: impl Into<String>) {
        self.found.problems.push(Fault {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            rule: rule.into(),
        });
    }

    /// The places that keys name, each of which can be a place.
    fn places(&mut self) -> Vec<Named> {
        let poll = self.poll;
        let paging = &poll.pagination;
        let mut named = Vec::new();
        let mut add =
            |found: &mut Self, key: &'static str, place: Result<Place, String>| match place {
                Ok(place) => named.push(Named { key, place }),
                Err(rule) => found.problem(&[key], rule),
            };
        add(self, "records", Place::parse_each(&poll.records));
        let pointers = [
            ("error", poll.error.as_ref()),
            (
                "fail_if",
                poll.fail_if.as_ref().map(|fail_if| &fail_if.pointer),
            ),
        ];
        for (key, pointer) in pointers {
            if let Some(pointer) = pointer {
                add(self, key, Place::parse(pointer));
            }
        }
        match paging.stop.as_ref().map(super::Stop::rule) {
            Some(Ok(Stop::Told(condition))) => {
                add(self, "pagination.stop", Place::parse(&condition.pointer));
            }
            Some(Err(rule)) => self.problem(&["pagination.stop"], rule),
            _ => {}
        }
        let is_cursor = paging.r#type == PaginationKind::Cursor;
        for (key, text, takes_records) in [
            ("total", &poll.total, false),
            ("pagination.more", &paging.more, false),
            ("pagination.pages", &paging.pages, false),
            ("pagination.next", &paging.next, is_cursor),
        ] {
            let Some(text) = text else { continue };
            match Source::parse(text) {
                Ok(Source::Body(place)) => add(self, key, Ok(place)),
                Ok(Source::First(_) | Source::Last(_)) if !takes_records => {
                    let rule = "only pagination.next of type = \"cursor\" may be in a record";
                    add(self, key, Err(rule.to_owned()));
                }
                Ok(_) => {}
                Err(rule) => add(self, key, Err(rule)),
            }
        }
        named
    }

    /// Checks that no place in a page lies within another one.
    fn places_apart(&mut self, named: &[Named]) {
        for own in named {
            if own.place.steps().is_empty() && own.key != "records" {
                let rule = format!(
                    "{} must lead to a value in the body, such as \"/name\"",
                    own.key
                );
                self.problem(&[own.key], rule);
            }
        }
        let is_outer = |own: &&Named| {
            own.key == "records" || own.key != "error" && !own.place.steps().is_empty()
        };
        for outer in named.iter().filter(is_outer) {
            for inner in named.iter().filter(|inner| inner.key != outer.key) {
                if !inner.place.is_within(&outer.place) || inner.place.steps().is_empty() {
                    continue;
                }
                let (own, other) = (inner.key, outer.key);
                let rule = if !outer.place.steps().is_empty() {
                    if own == "error" || own == "fail_if" && other != "records" {
                        continue;
                    }
                    format!("{own} must not be the same place as {other} or within it")
                } else if own == "error" || own == "fail_if" || self.poll.format != BodyFormat::Json
                {
                    continue;
                } else {
                    format!(
                        "{own} needs a body that is an object; set records to where in it the list is"
                    )
                };
                self.problem(&[own, other], rule);
            }
        }
    }

    fn records(&mut self) {
        let poll = self.poll;
        let is_map = poll.records_as == RecordsAs::Map;
        if poll.map_key.is_some() && !is_map {
            let rule = "map_key means nothing without records_as = \"map\"; remove it, or set that";
            self.problem(&["map_key", "records_as"], rule);
        }
        if is_map && poll.map_key.is_none() {
            let text =
                "without it the keys of the map, which are the names of the records, are lost";
            self.found.warnings.push(("map_key", text.to_owned()));
        }
        let fail_if = poll
            .fail_if
            .as_ref()
            .and_then(|fail_if| fail_if.value.as_ref());
        if fail_if.is_some_and(|value| value.is_null() || value.is_object() || value.is_array()) {
            self.problem(&["fail_if"], "value must be text, a number, true or false");
        }
    }

    /// Checks that no key wants what the format does not have.
    fn format(&mut self, named: &[Named]) {
        let poll = self.poll;
        if let Some(csv) = &poll.csv {
            if poll.format != BodyFormat::Csv {
                let rule = "csv means nothing without format = \"csv\"; remove it, or set that";
                self.problem(&["csv", "format"], rule);
            }
            if csv.delimiter().is_none() {
                let rule = "delimiter must be one ASCII character, and no quote or line end";
                self.problem(&["csv"], rule);
            }
        }
        if poll.format == BodyFormat::Json {
            return;
        }
        if poll.records_as != RecordsAs::List {
            let rule =
                "records_as means nothing for this format, whose lines are the records; remove it";
            self.problem(&["records_as", "format"], rule);
        }
        let in_body = named.iter().filter(|own| !own.place.steps().is_empty());
        for own in in_body {
            let rule = format!(
                "{} means nothing for this format, which has only records; remove it, or name a header",
                own.key
            );
            self.problem(&[own.key, "format"], rule);
        }
    }

    /// Checks that each key means something for the kind of pagination.
    fn kind(&mut self) {
        let paging = &self.poll.pagination;
        let kind = paging.r#type;
        for (key, is_set) in [
            ("param", paging.param.is_some()),
            ("first", paging.first.is_some()),
            ("step", paging.step != Step::Count),
            ("next", paging.next.is_some()),
            ("more", paging.more.is_some()),
            ("pages", paging.pages.is_some()),
            ("stop", paging.stop.is_some()),
            ("limit", paging.limit.is_some()),
            ("next_as", paging.next_as != NextAs::Text),
            ("begin", paging.begin != Begin::First),
            ("then", paging.then.is_some()),
            ("repeat_query", !paging.repeat_query.is_empty()),
        ] {
            if is_set && !kind.takes(key) {
                let rule = format!("pagination.{key} means nothing for this pagination.type");
                self.problem(
                    &[&format!("pagination.{key}"), "pagination.type"],
                    rule + "; remove it, or set the type",
                );
            }
        }
        if kind.needs_next() && paging.next.is_none() {
            self.problem(
                &["pagination.type"],
                "pagination.next must say where the next page is named, such as \"/next\", \
                 \"header:x-next-page\" or \"last:/id\"",
            );
        }
        if paging.limit_param.is_some() && paging.limit.is_none() {
            self.problem(
                &["pagination.limit_param"],
                "pagination.limit must say how many records to ask for",
            );
        }
        if kind != PaginationKind::None
            && self.poll.id.is_none()
            && self.poll.mode == Mode::Snapshot
        {
            let text = "without it nobody notices when a record moves from one page to the next while the \
                        pages are read";
            self.found.warnings.push(("id", text.to_owned()));
        }
        if kind != PaginationKind::None && self.poll.records_as == RecordsAs::Object {
            let rule =
                "records_as = \"object\" is a page with one record; remove it, or pagination.type";
            self.problem(&["records_as", "pagination.type"], rule);
        }
    }

    fn steering(&mut self) {
        let paging = &self.poll.pagination;
        let stop = paging.stop.as_ref().and_then(|stop| stop.rule().ok());
        let needs_limit = [
            ("pagination.stop", stop == Some(Stop::ShortPage)),
            ("pagination.step", paging.step == Step::Limit),
        ];
        for (key, is_set) in needs_limit {
            if is_set && paging.limit.is_none() {
                let rule = "pagination.limit must say how many records to ask for";
                self.problem(&[key, "pagination.limit"], rule);
            }
        }
        let is_counted = matches!(
            paging.r#type,
            PaginationKind::Offset | PaginationKind::Page | PaginationKind::None
        );
        if stop == Some(Stop::SameLink) && is_counted {
            let rule =
                "\"same-link\" is for pages that name the next one: cursor, next-url, link-header";
            self.problem(&["pagination.stop", "pagination.type"], rule);
        }
        if paging.more.is_some() && matches!(stop, Some(Stop::Told(_))) {
            let rule = "pagination.more and a stop with a pointer say the same; remove one";
            self.problem(&["pagination.stop", "pagination.more"], rule);
        }
        if paging.first == Some(0) && paging.r#type == PaginationKind::Offset {
            let text = "0 is where offsets begin anyway";
            self.found
                .warnings
                .push(("pagination.first", text.to_owned()));
        }
    }

    /// Checks how pages are asked for by their cursor.
    fn by_cursor(&mut self) {
        let paging = &self.poll.pagination;
        if paging.next_as == NextAs::Parameters && paging.param.is_some() {
            let rule = "the cursor is an object of parameters, which have their own names; remove pagination.param";
            self.problem(&["pagination.param", "pagination.next_as"], rule);
        }
        if paging.next_as != NextAs::Text && paging.begin != Begin::First {
            let rule = "only text can be the cursor of the first page; remove pagination.begin";
            self.problem(&["pagination.begin", "pagination.next_as"], rule);
        }
        let Some(then) = &paging.then else { return };
        let key = "pagination.then";
        let origin = |url: &str| Some(UrlTemplate::parse(url).ok()?.example().ok()?.origin());
        let (own, first) = (origin(&then.url), origin(&self.poll.url));
        if own.is_none() || first.is_some() && own != first {
            let what = if self.poll.api.is_some() {
                "path, which follows the url of the API, such as \"/list/continue\""
            } else {
                "url, of the same origin as the poll's"
            };
            self.problem(&[key], format!("needs a {what}"));
        }
        if then.body.is_some() && self.poll.method == Verb::Get {
            let rule = "a GET request has no body; set method = \"POST\", or remove it";
            self.problem(&[key, "method"], rule);
        }
    }

    fn parameters(&mut self) {
        let poll = self.poll;
        let paging = &poll.pagination;
        let since = poll.watermark.param.as_ref();
        for param in [paging.param.as_ref(), paging.limit_param.as_ref(), since] {
            if let Some(param) = param.filter(|param| poll.query.contains_key(*param)) {
                let rule = format!("{param:?} is set in query too; remove it there");
                self.problem(&["query"], rule);
            }
        }
        for name in &paging.repeat_query {
            if !poll.query.contains_key(name) {
                let rule = format!("{name:?} is not in query; name a parameter that is");
                self.problem(&["pagination.repeat_query", "query"], rule);
            }
        }
    }
}
