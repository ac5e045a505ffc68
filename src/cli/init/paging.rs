//! How one page leads to the next, as far as one page tells.

use reqwest::Url;

use super::facts::{Fact, facts, plain};
use super::fetch::Page;
use super::records::{Form, Records};

/// What is proposed for `pagination`, and beside it.
#[derive(Debug, Default)]
pub(super) struct Paging {
    /// The kind.
    pub(super) kind: &'static str,
    /// The settings of this kind, in their order, as TOML.
    pub(super) settings: Vec<(&'static str, String)>,
    /// Where the number of all records is.
    pub(super) total: Option<String>,
    /// Parameters of the URL that the program sets itself.
    pub(super) own: Vec<String>,
    /// Hosts that links lead to.
    pub(super) hosts: Vec<String>,
    /// What a person should look at.
    pub(super) notes: Vec<String>,
}

const MORE: [&str; 8] = [
    "hasmore",
    "hasnext",
    "hasnextpage",
    "more",
    "morepages",
    "hasmorepages",
    "moreresults",
    "hasmoreitems",
];
const LAST: [&str; 5] = ["islastpage", "lastpage", "islast", "last", "done"];
const TOTALS: [&str; 10] = [
    "total",
    "totalcount",
    "totalrecords",
    "totalresults",
    "totalitems",
    "totalelements",
    "totalsize",
    "numfound",
    "totalhits",
    "count",
];
const PAGES: [&str; 6] = [
    "totalpages",
    "pages",
    "pagecount",
    "lastpage",
    "numpages",
    "maxpage",
];
const PAGE: [&str; 6] = [
    "page",
    "currentpage",
    "pagenumber",
    "pageno",
    "pageindex",
    "number",
];
const OFFSET: [&str; 6] = ["offset", "start", "skip", "startat", "startindex", "from"];
const LIMIT: [&str; 9] = [
    "limit",
    "perpage",
    "pagesize",
    "maxresults",
    "itemsperpage",
    "resultsperpage",
    "take",
    "size",
    "rows",
];
/// Names of a cursor that do not begin with "next".
const CURSORS: [&str; 7] = [
    "endcursor",
    "continuationtoken",
    "continuation",
    "cursor",
    "scrollid",
    "bookmark",
    "after",
];
/// Names of the next page within an object `next`.
const WITHIN_NEXT: [&str; 7] = ["href", "url", "link", "uri", "cursor", "after", "token"];
const TOTAL_HEADERS: [&str; 4] = ["x-total-count", "x-total", "x-wp-total", "total-count"];
const PAGES_HEADERS: [&str; 2] = ["x-total-pages", "x-wp-totalpages"];

/// Looks for each form in turn, the clearest first.
pub(super) fn find(page: &Page, records: &Records<'_>, id: Option<&str>) -> Paging {
    let found = match records.form {
        Form::Object => Vec::new(),
        Form::Map if records.pointer.is_empty() => Vec::new(),
        _ => facts(&page.body, &records.pointer),
    };
    let look = Look {
        page,
        records,
        facts: found,
    };
    let mut paging = look
        .link_header()
        .or_else(|| look.next_in_body())
        .or_else(|| look.numbered_pages())
        .or_else(|| look.offset())
        .or_else(|| look.after_last(id))
        .unwrap_or_else(|| look.nothing());
    look.more(&mut paging);
    look.limit(&mut paging);
    look.total(&mut paging);
    paging
}

struct Look<'a> {
    page: &'a Page,
    records: &'a Records<'a>,
    facts: Vec<Fact<'a>>,
}

impl Look<'_> {
    fn link_header(&self) -> Option<Paging> {
        let links = self.page.header("link")?.to_ascii_lowercase();
        let has = |relation: &str| {
            links.contains(&format!("rel=\"{relation}\""))
                || links.contains(&format!("rel={relation}"))
        };
        if !has("next") && !has("prev") && !has("first") && !has("last") {
            return None;
        }
        let mut paging = Paging {
            kind: "link-header",
            ..Paging::default()
        };
        if !has("next") {
            let note = "this is the last page: its Link header has no rel=\"next\"";
            paging.notes.push(note.to_owned());
        }
        Some(paging)
    }

    /// A link or a cursor in the body.
    fn next_in_body(&self) -> Option<Paging> {
        let names_next = |fact: &&Fact<'_>| {
            let is_next = fact.name.starts_with("next") || fact.name.ends_with("nextlink");
            is_next || fact.is(&CURSORS) || (fact.around == "next" && fact.is(&WITHIN_NEXT))
        };
        let is_place = |fact: &&Fact<'_>| {
            let value = fact.value;
            // An offset that is a text is a cursor.
            let is_text = value.is_string() && fact.name == "offset";
            (names_next(fact) || is_text) && !value.is_boolean()
        };
        let places: Vec<_> = self.facts.iter().filter(is_place).collect();
        let link = places
            .iter()
            .find(|fact| fact.value.as_str().is_some_and(is_link));
        let own = |fact: &&&Fact<'_>| fact.name.starts_with("next") || fact.around == "next";
        let named = places.iter().find(own).or(places.first());
        let fact = link.or(named)?;
        let says_link = ["url", "link", "href", "uri"]
            .iter()
            .any(|end| fact.name.ends_with(end));
        let has_previous = self
            .facts
            .iter()
            .any(|other| other.name.starts_with("prev"));
        let is_nothing = fact
            .value
            .as_str()
            .map_or(fact.value.is_null(), str::is_empty);
        if link.is_some() || is_nothing && (says_link || fact.name == "next" && has_previous) {
            return Some(self.next_url(fact));
        }
        Some(self.cursor(fact, is_nothing))
    }

    fn next_url(&self, fact: &Fact<'_>) -> Paging {
        let mut paging = Paging {
            kind: "next-url",
            settings: vec![("next", quoted(&fact.pointer))],
            ..Paging::default()
        };
        let next = fact
            .value
            .as_str()
            .and_then(|link| self.page.url.join(link).ok());
        let Some(next) = next else {
            let note = format!("this is the last page: {} is null", quoted(&fact.pointer));
            paging.notes.push(note);
            return paging;
        };
        if let Some(host) = next.host_str()
            && self.page.url.host_str() != Some(host)
        {
            paging.hosts.push(host.to_owned());
            paging.notes.push(format!(
                "the next page is at another host, {}",
                quoted(host)
            ));
        }
        paging
    }

    fn cursor(&self, fact: &Fact<'_>, is_nothing: bool) -> Paging {
        let guess = parameter_of(fact);
        let sent = parameters(&self.page.url).find(|name| plain(name) == plain(&guess));
        let is_known = sent.is_some();
        let param = sent.unwrap_or(guess);
        let mut paging = Paging {
            kind: "cursor",
            settings: vec![("next", quoted(&fact.pointer)), ("param", quoted(&param))],
            own: vec![param.clone()],
            ..Paging::default()
        };
        if !is_known {
            paging.notes.push(format!(
                "a page cannot say which parameter takes the cursor; {} is a guess from {}",
                quoted(&param),
                quoted(&fact.pointer)
            ));
        }
        if is_nothing {
            let note = format!(
                "this is the last page: {} has no value",
                quoted(&fact.pointer)
            );
            paging.notes.push(note);
        }
        paging
    }

    /// Pages with numbers, in the body, in headers, or in the URL alone.
    fn numbered_pages(&self) -> Option<Paging> {
        let count = self.number(&PAGES);
        let number = self.number(&PAGE);
        let header = PAGES_HEADERS
            .iter()
            .find(|name| self.page.header(name).is_some());
        let next = self.page.header("x-next-page");
        let sent = parameters(&self.page.url).find(|name| PAGE.contains(&plain(name).as_str()));
        // "number" and "page" alone could be anything.
        let is_clear = number.is_some() && (count.is_some() || self.number(&LIMIT).is_some());
        if !is_clear && count.is_none() && header.is_none() && next.is_none() && sent.is_none() {
            return None;
        }
        let mut paging = Paging {
            kind: "page",
            ..Paging::default()
        };
        let guess = match &number {
            Some(fact) if fact.name != "number" && fact.name != "currentpage" => fact.key.clone(),
            _ => "page".to_owned(),
        };
        if sent.is_none() {
            let note = format!(
                "a page cannot say which parameter takes its number; {} is a guess",
                quoted(&guess)
            );
            paging.notes.push(note);
        }
        let param = sent.unwrap_or(guess);
        if param != "page" {
            paging.settings.push(("param", quoted(&param)));
        }
        let first = number.and_then(|fact| fact.value.as_u64());
        if first == Some(0) {
            paging.settings.push(("first", "0".to_owned()));
        }
        match (count, header) {
            (Some(fact), _) => paging.settings.push(("pages", quoted(&fact.pointer))),
            (None, Some(name)) => paging
                .settings
                .push(("pages", quoted(&format!("header:{name}")))),
            (None, None) => {}
        }
        paging.own.push(param);
        Some(paging)
    }

    fn offset(&self) -> Option<Paging> {
        let fact = self.number(&OFFSET);
        let sent = parameters(&self.page.url).find(|name| OFFSET.contains(&plain(name).as_str()));
        let is_clear = self.number(&LIMIT).is_some() || self.number(&TOTALS).is_some();
        let fact = fact.filter(|_| is_clear || sent.is_some());
        if fact.is_none() && sent.is_none() {
            return None;
        }
        let mut paging = Paging {
            kind: "offset",
            ..Paging::default()
        };
        if sent.is_none() {
            let note = "a page cannot say which parameter takes the offset; it is named as in the page here";
            paging.notes.push(note.to_owned());
        }
        let param = sent.or_else(|| fact.map(|fact| fact.key.clone()))?;
        if param != "offset" {
            paging.settings.push(("param", quoted(&param)));
        }
        paging.own.push(param);
        Some(paging)
    }

    /// A page that says that there are more records, and names none: the last record leads on.
    fn after_last(&self, id: Option<&str>) -> Option<Paging> {
        self.facts
            .iter()
            .find(|fact| fact.is(&MORE) && fact.value.is_boolean())?;
        let id = id?;
        let place = if id.starts_with('/') {
            id.to_owned()
        } else {
            format!("/{id}")
        };
        let sent = parameters(&self.page.url).find(|name| {
            ["startingafter", "after", "sinceid", "cursor"].contains(&plain(name).as_str())
        });
        let param = sent.clone().unwrap_or_else(|| "starting_after".to_owned());
        let mut notes = Vec::new();
        if sent.is_none() {
            notes.push(
                "a page cannot say how to ask for what comes after its last record; \"starting_after\" is a guess"
                    .to_owned(),
            );
        }
        Some(Paging {
            kind: "cursor",
            settings: vec![
                ("next", quoted(&format!("last:{place}"))),
                ("param", quoted(&param)),
            ],
            own: vec![param],
            notes,
            ..Paging::default()
        })
    }

    fn nothing(&self) -> Paging {
        let mut paging = Paging {
            kind: "none",
            ..Paging::default()
        };
        let count = self.records.count;
        let is_list = !matches!(self.records.form, Form::Object | Form::Map);
        if is_list && count > 0 && (count.is_multiple_of(10) || count.is_multiple_of(25)) {
            paging.notes.push(format!(
                "{count} records are a round number, and nothing names a next page: look in the API's documentation \
                 whether there are more, or records will be missing"
            ));
        } else if is_list {
            let note = "nothing in the page names a next one; look in the API's documentation whether there are more";
            paging.notes.push(note.to_owned());
        }
        paging
    }

    /// Whether there is a next page, as far as the page says so.
    fn more(&self, paging: &mut Paging) {
        if matches!(paging.kind, "none" | "link-header") {
            return;
        }
        let flag = |names: &[&str]| {
            let mut facts = self.facts.iter();
            facts.find(|fact| fact.is(names) && fact.value.is_boolean())
        };
        if let Some(fact) = flag(&MORE) {
            paging.settings.push(("more", quoted(&fact.pointer)));
        } else if let Some(fact) = flag(&LAST)
            && paging.settings.iter().all(|(key, _)| *key != "pages")
        {
            let stop = format!("{{ pointer = {}, value = true }}", quoted(&fact.pointer));
            paging.settings.push(("stop", stop));
        }
    }

    /// The number of records in a page, where the URL or the page names its parameter.
    fn limit(&self, paging: &mut Paging) {
        if matches!(paging.kind, "none" | "next-url" | "link-header") {
            return;
        }
        let sent = self.page.url.query_pairs().find_map(|(name, value)| {
            let limit = value.parse::<u64>().ok().filter(|limit| *limit > 0)?;
            LIMIT
                .contains(&plain(&name).as_str())
                .then(|| (name.into_owned(), limit))
        });
        let said = self.number(&LIMIT).and_then(|fact| {
            let limit = fact.value.as_u64().filter(|limit| *limit > 0)?;
            Some((fact.key.clone(), limit))
        });
        let Some((name, limit)) = sent.clone().or(said) else {
            return;
        };
        if name != "limit" {
            paging.settings.push(("limit_param", quoted(&name)));
        }
        paging.settings.push(("limit", limit.to_string()));
        if sent.is_none() {
            let note = format!("that {} takes the size of a page is a guess", quoted(&name));
            paging.notes.push(note);
        }
        paging.own.push(name);
    }

    fn total(&self, paging: &mut Paging) {
        let count = self.records.count as u64;
        let header = TOTAL_HEADERS.iter().find(|name| {
            let value = self
                .page
                .header(name)
                .and_then(|value| value.parse::<u64>().ok());
            value.is_some_and(|total| total >= count)
        });
        let fact = self.facts.iter().find(|fact| {
            let is_total = fact.is(&TOTALS) || fact.name == "value" && fact.around == "total";
            let total = fact.value.as_u64().filter(|_| is_total);
            // A count of this page is no total.
            total.is_some_and(|total| total > count || total == count && fact.name != "count")
        });
        let total = fact.map(|fact| (fact.pointer.clone(), fact.value.as_u64()));
        let total = total.or_else(|| Some((format!("header:{}", header?), None)));
        let Some((place, said)) = total else { return };
        if paging.kind == "none" && said.is_some_and(|total| total > count) {
            paging.notes.push(format!(
                "the page has {count} of {} records: set pagination, or a run fails at the total",
                said.unwrap_or(0)
            ));
        }
        paging.total = Some(place);
    }

    /// The fact that is a number and has one of these names, the first name first.
    fn number(&self, names: &[&str]) -> Option<&Fact<'_>> {
        names.iter().find_map(|name| {
            let mut facts = self.facts.iter();
            facts.find(|fact| fact.name == *name && fact.value.is_u64())
        })
    }
}

fn is_link(text: &str) -> bool {
    let is_path = text.starts_with('/') && text.len() > 1 && !text.ends_with('=');
    text.starts_with("http://") || text.starts_with("https://") || text.starts_with('?') || is_path
}

/// The parameter that probably takes a cursor: its own name without "next".
fn parameter_of(fact: &Fact<'_>) -> String {
    match fact.name.as_str() {
        "next" | "href" | "url" => "cursor".to_owned(),
        "nextpage" => "page".to_owned(),
        "endcursor" => "after".to_owned(),
        "nexttoken" => fact.key.clone(),
        name if name.starts_with("next") => {
            let rest = fact
                .key
                .trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let rest = rest.get("next".len()..).unwrap_or_default();
            let rest = rest.trim_start_matches(['_', '-']);
            let mut letters = rest.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
        _ => fact.key.clone(),
    }
}

fn parameters(url: &Url) -> impl Iterator<Item = String> {
    url.query_pairs().map(|(name, _)| name.into_owned())
}

/// Whether a parameter or a header probably holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = plain(name);
    let ends = [
        "key",
        "token",
        "secret",
        "password",
        "signature",
        "authorization",
        "auth",
        "cookie",
        "sig",
    ];
    ends.iter().any(|end| name.ends_with(end))
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    // The escapes of JSON are escapes of TOML; only DEL is missing.
    let quoted = serde_json::Value::from(text).to_string();
    quoted.replace('\u{7f}', "\\u007f")
}
