//! The proposed section, as TOML with comments.

use std::fmt::Write as _;
use std::path::PathBuf;

use reqwest::Url;
use serde_json::Value;

use super::fetch::Page;
use super::fields::{self, Mark};
use super::paging::{self, Paging, is_secret, quoted};
use super::records::{self, Form, Records};

/// Parameters that usually ask for what has changed since a time.
const SINCE: [&str; 8] = [
    "since",
    "updatedsince",
    "updatedafter",
    "modifiedsince",
    "modifiedafter",
    "updatedatmin",
    "from",
    "startdate",
];
/// Comments are wrapped at this width.
const WIDTH: usize = 100;

/// What a person gave besides the page.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The name of the poll.
    pub(super) name: String,
    /// The file with the bearer token.
    pub(super) token_file: Option<PathBuf>,
    /// Headers that were sent. Secret ones are named only.
    pub(super) headers: Vec<(String, String)>,
    /// The file of the schema, if there will be one.
    pub(super) schema: Option<String>,
}

/// A proposal.
#[derive(Debug)]
pub(super) struct Proposal {
    /// The section.
    pub(super) section: String,
    /// The JSON Schema of its records; `None` if no record was seen.
    pub(super) schema: Option<Value>,
}

/// Proposes a section for the API that answered with this page.
pub(super) fn propose(page: &Page, given: &Given) -> Proposal {
    let word = word_of(&page.url);
    let found = records::find(&page.body, &word);
    let id = match found.form {
        Form::Scalars => Some("value".to_owned()),
        _ => fields::id(&found.objects, &word),
    };
    let paging = paging::find(page, &found, id.as_deref());
    let mark = fields::mark(&found.objects);
    let schema = (!found.objects.is_empty()).then(|| fields::schema(&found.objects));
    let mut out = Section::default();
    out.comment(&format!(
        "Proposed by `lakehook init poll` from one page of {}. Read every line: what a page cannot say is marked \
         with \"?\".",
        quoted(&place(&page.url))
    ));
    out.line(&format!("[poll.{}]", given.name));
    url(&mut out, page, &paging);
    credentials(&mut out, page, given);
    headers(&mut out, given);
    places(&mut out, &found, &paging);
    identity(&mut out, &found, id.as_deref());
    marks(&mut out, mark.as_ref(), page);
    match (&given.schema, &schema) {
        (_, None) => out.comment("? No record was seen, so no schema can be proposed."),
        (Some(file), _) => out.line(&format!("schema = {}", quoted(file))),
        (None, _) => out.line(&format!(
            "#schema = {}   # printed below; --write writes it",
            quoted(&schema_file(&given.name))
        )),
    }
    out.line("#every = \"1h\"                     # ? how often; without it only `lakehook poll` reads it");
    pagination(&mut out, &paging, &given.name);
    Proposal {
        section: out.0,
        schema,
    }
}

/// Where a schema is written, relative to the configuration.
pub(super) fn schema_file(name: &str) -> String {
    format!("schemas/{name}.json")
}

#[derive(Debug, Default)]
struct Section(String);

impl Section {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn set(&mut self, key: &str, value: &str) {
        _ = writeln!(self.0, "{key} = {value}");
    }

    /// A comment, wrapped.
    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH && line.len() > 1 {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }
}

/// A URL as it may be shown: without parameters, which may be secret.
pub(super) fn place(url: &Url) -> String {
    let mut place = url.clone();
    place.set_query(None);
    place.set_fragment(None);
    let _no_host = (place.set_username(""), place.set_password(None));
    place.to_string()
}

/// The last word of a URL's path that could be a name.
pub(super) fn word_of(url: &Url) -> String {
    let parts = url.path_segments().into_iter().flatten();
    let mut words = parts.filter_map(|part| {
        let part = part.strip_suffix(".json").unwrap_or(part);
        let is_version = part.len() <= 3 && part.starts_with('v');
        let is_word = part.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_version;
        is_word.then(|| part.to_owned())
    });
    words.next_back().unwrap_or_default()
}

fn url(out: &mut Section, page: &Page, paging: &Paging) {
    let mut url = page.url.clone();
    url.set_fragment(None);
    let has_user = !url.username().is_empty() || url.password().is_some();
    // They fail only where a URL has no host.
    let _no_host = (url.set_username(""), url.set_password(None));
    let kept = page.url.query_pairs();
    let kept = kept.filter(|(name, _)| !paging.own.iter().any(|own| own == name));
    let kept: Vec<_> = kept.filter(|(name, _)| !is_secret(name)).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(&kept);
    }
    // A brace would begin a placeholder.
    let text = url.as_str().replace('{', "%7B").replace('}', "%7D");
    out.set("url", &quoted(&text));
    if has_user {
        out.comment("? The user and the password in the URL are left out: auth takes them.");
    }
    if !paging.hosts.is_empty() {
        let hosts: Vec<_> = paging.hosts.iter().map(|host| quoted(host)).collect();
        out.set("allow_hosts", &format!("[{}]", hosts.join(", ")));
    }
}

/// The credentials. A secret is not printed: the first one that was sent has a place proposed for it.
fn credentials(out: &mut Section, page: &Page, given: &Given) {
    if let Some(file) = &given.token_file {
        let file = quoted(&file.display().to_string());
        out.set(
            "auth",
            &format!("{{ type = \"bearer\", token_file = {file} }}"),
        );
    }
    let headers = given.headers.iter().map(|(name, _)| name.clone());
    let headers = headers.filter(|name| is_secret(name));
    let headers = headers.map(|name| ("header", "header", name));
    let parameters = page.url.query_pairs().map(|(name, _)| name.into_owned());
    let parameters = parameters.filter(|name| is_secret(name));
    let parameters = parameters.map(|name| ("query", "param", name));
    for (at, (kind, key, name)) in headers.chain(parameters).enumerate() {
        out.comment(&format!(
            "? {} looks like a secret, and is left out.",
            quoted(&name)
        ));
        if at == 0 && given.token_file.is_none() {
            let file = quoted(&format!("{}.token", given.name));
            let place = if name.eq_ignore_ascii_case("authorization") {
                "type = \"bearer\"".to_owned()
            } else {
                format!("type = \"{kind}\", {key} = {}", quoted(&name))
            };
            out.line(&format!(
                "#auth = {{ {place}, token_file = {file} }}   # chmod 600"
            ));
        }
    }
}

fn headers(out: &mut Section, given: &Given) {
    let plain = given.headers.iter().filter(|(name, _)| !is_secret(name));
    let pairs = plain.map(|(name, value)| {
        // A brace in a value would begin a placeholder.
        let value = value.replace('{', "{{").replace('}', "}}");
        format!("{} = {}", quoted(name), quoted(&value))
    });
    let pairs: Vec<_> = pairs.collect();
    if !pairs.is_empty() {
        out.set("headers", &format!("{{ {} }}", pairs.join(", ")));
    }
}

fn places(out: &mut Section, found: &Records<'_>, paging: &Paging) {
    if found.form == Form::Map || found.form == Form::Object {
        if !found.pointer.is_empty() {
            out.set("records", &quoted(&found.pointer));
        }
        let word = if found.form == Form::Map {
            "map"
        } else {
            "object"
        };
        out.set("records_as", &quoted(word));
    } else {
        out.set("records", &quoted(&found.pointer));
    }
    if !found.others.is_empty() {
        let others: Vec<_> = found.others.iter().map(|other| quoted(other)).collect();
        out.comment(&format!(
            "? Other lists in the page: {}.",
            others.join(", ")
        ));
    }
    if found.form == Form::Empty {
        out.comment(
            "? The list is empty in this page; give the URL of a page with records for more.",
        );
    }
    if found.form == Form::Object {
        out.comment(
            "? No list of records is in the page, so the whole of it is taken for one record.",
        );
    }
    if let Some(total) = &paging.total {
        out.set("total", &quoted(total));
    }
}

fn identity(out: &mut Section, found: &Records<'_>, id: Option<&str>) {
    match (found.form, id) {
        (_, Some(id)) => out.set("id", &quoted(id)),
        (Form::Map, None) => {
            out.set("map_key", "\"key\"");
            out.set("id", "\"key\"");
        }
        (_, None) => out.comment(
            "? No field was found that every record has, each with another value: without an id, nobody notices a \
             record that is read twice.",
        ),
    }
}

fn marks(out: &mut Section, mark: Option<&Mark>, page: &Page) {
    let Some(mark) = mark else {
        out.comment(
            "? No field was found that says when a record changed, so every run reads everything.",
        );
        return;
    };
    let sent = page.url.query_pairs().find_map(|(name, _)| {
        let is_since = SINCE.contains(&super::facts::plain(&name).as_str());
        is_since.then(|| name.into_owned())
    });
    let param = sent.unwrap_or_else(|| "since".to_owned());
    let what = if mark.follows_changes {
        "Every run reads everything. To read only what changed, say which parameter of the API takes a time:"
    } else {
        "Every run reads everything. To read only what is new (changes of a record are missed then), say which \
         parameter of the API takes a time:"
    };
    out.comment(&format!("? {what}"));
    out.line("#mode = \"append\"");
    let format = mark.format.map_or_else(String::new, |format| {
        format!(", format = {}", quoted(format))
    });
    out.line(&format!(
        "#watermark = {{ field = {}{format}, param = {}, lag = \"60s\" }}",
        quoted(&mark.field),
        quoted(&param)
    ));
}

fn pagination(out: &mut Section, paging: &Paging, name: &str) {
    if paging.kind == "none" && paging.notes.is_empty() {
        return;
    }
    out.line("");
    out.line(&format!("[poll.{name}.pagination]"));
    for note in &paging.notes {
        out.comment(&format!("? {note}."));
    }
    out.set("type", &quoted(paging.kind));
    for (key, value) in &paging.settings {
        out.set(key, value);
    }
}
