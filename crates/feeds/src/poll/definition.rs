//! Definition of a poll: its settings in plain values, and the names of its kinds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::form::{Begin, NextAs, PageForm, Step, Stop};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use super::credentials::{
    AuthKind, ClientAuth, Connection, Credentials, GrantKind, OAuthSettings, SignatureSettings,
};
use crate::guards::Guards;
use lakehook_base::secret::Secret;
use lakehook_base::tables::LiveShape;
use lakehook_contract::column_rules::ColumnRule;

/// All settings of one poll.
#[derive(Clone, Debug)]
pub struct Definition {
    /// How pages are requested.
    pub request: Request,
    /// What a page looks like.
    pub page: PageForm,
    /// How one page leads to the next.
    pub pagination: Pagination,
    /// When the poll runs.
    pub timing: Timing,
    /// What a run reads.
    pub mode: Mode,
    /// How an appending run asks for what is new.
    pub watermark: Watermark,
    /// The windows that an appending run asks for.
    pub window: Option<Window>,
    /// The other poll, for each of whose records this one reads.
    pub each: Option<Each>,
    /// How a run begins where the last one has ended, by a token of the API.
    pub token: Token,
    /// Whether the mark is kept when the request changes.
    pub keep_mark: bool,
    /// A file with the JSON Schema of a record.
    pub schema: Option<PathBuf>,
    /// What identifies a record.
    pub id: Option<RecordId>,
    /// Bounds of a run.
    pub limits: Limits,
    /// What must hold before rows become visible.
    pub guards: Guards,
    /// How columns are made.
    pub columns: ColumnDefinitions,
}

/// How columns are made.
#[derive(Clone, Debug, Default)]
pub struct ColumnDefinitions {
    /// The rules, by the name of their column.
    pub rules: BTreeMap<String, ColumnRule>,
    /// Columns that are text in objects which are in the lake.
    pub kept_as_text: Vec<String>,
    /// The columns that are found in records, where there is no schema.
    pub live: Option<Arc<LiveShape>>,
}

/// How pages are requested. URL, parameters, headers and body may hold placeholders.
#[derive(Clone, Debug)]
pub struct Request {
    /// URL of the first page.
    pub url: String,
    /// The method.
    pub method: Verb,
    /// Parameters of every request.
    pub query: BTreeMap<String, Secret>,
    /// Headers of every request to the origin of the URL.
    pub headers: BTreeMap<String, Secret>,
    /// Body of every request to that origin.
    pub body: Body,
    /// Credentials, for the same origin.
    pub credentials: Credentials,
    /// Name of the API, whose polls share credentials, connections and the rate of requests; `None`
    /// for a poll of its own.
    pub api: Option<String>,
    /// Minimum time between two requests; zero means no limit.
    pub pace: Duration,
    /// How connections are opened.
    pub connection: Connection,
    /// Other hosts that redirects and links may lead to.
    pub allow_hosts: Vec<String>,
}

/// How one page leads to the next.
#[derive(Clone, Debug, Default)]
pub struct Pagination {
    /// Kind of pagination.
    pub kind: PaginationKind,
    /// Name of the parameter that selects a page by offset, number or cursor.
    pub param: Option<String>,
    /// Name of the parameter for the number of records in a page.
    pub limit_param: Option<String>,
    /// Number of records that a page should have.
    pub limit: Option<u64>,
    /// Number of the first page, or offset of the first record.
    pub first: Option<u64>,
    /// How far an offset goes on from page to page.
    pub step: Step,
    /// Where the cursor or the URL of the next page is: a JSON Pointer, `header:NAME`, or a JSON
    /// Pointer into a record, `first:/…` or `last:/…`.
    pub next: Option<String>,
    /// Where a page says whether there is a next one: a JSON Pointer, or `header:NAME`.
    pub more: Option<String>,
    /// Where the number of pages is: a JSON Pointer, or `header:NAME`.
    pub pages: Option<String>,
    /// When a page is the last one, although it may name a next one.
    pub stop: Option<Stop>,
    /// How what names the next page goes into the request.
    pub next_as: NextAs,
    /// What the first page is asked for with.
    pub begin: Begin,
    /// How a page is asked for by its cursor, if not as the first one.
    pub then: Option<Then>,
    /// Names of the parameters that are added to links to the next page.
    pub repeat_query: Vec<String>,
}

/// How a page is asked for by its cursor.
#[derive(Clone, Debug)]
pub struct Then {
    /// The URL, of the same origin as that of the first page.
    pub url: String,
    /// Parameters of the request.
    pub query: BTreeMap<String, Secret>,
    /// Its body.
    pub body: Body,
}

/// When a poll runs. Without an interval and a cron expression it runs only on demand.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Interval between the starts of two runs.
    pub every: Option<Duration>,
    /// A cron expression.
    pub cron: Option<String>,
    /// Time zone of the cron expression.
    pub time_zone: String,
    /// Each run starts later than scheduled by a random time of up to this.
    pub jitter: Duration,
}

/// How an appending run asks for what is new.
#[derive(Clone, Debug, Default)]
pub struct Watermark {
    /// JSON Pointer or name of the field that grows.
    pub field: Option<String>,
    /// How records write it.
    pub format: Option<String>,
    /// The time zone of times without one.
    pub zone: Option<String>,
    /// Where it goes in a request.
    pub into: Option<String>,
    /// How requests write it, if it is not as records do.
    pub into_format: Option<String>,
    /// Name of the parameter that asks for records from a value on.
    pub param: Option<String>,
    /// The next run begins this much before the highest value seen.
    pub lag: Option<GivenLag>,
    /// Watermark of the first run.
    pub start: Option<String>,
    /// Whether it is the cursor of the first page.
    pub begins: bool,
}

/// The windows that an appending run asks for, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Length of a window.
    pub size: Duration,
    /// Where the first one begins.
    pub start: String,
    /// How requests write the ends of a window.
    pub format: Option<String>,
    /// The time zone of times without one.
    pub zone: Option<String>,
    /// The next run begins this much before the end of the last window.
    pub lag: Duration,
    /// Whether the API takes the end as a part of the window.
    pub is_inclusive: bool,
}

/// How a poll reads for each record of another one, its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each {
    /// Name of the other poll.
    pub of: String,
    /// Whether that takes snapshots.
    pub of_snapshot: bool,
    /// Placeholders, and where in a parent's record their values are.
    pub set: BTreeMap<String, String>,
    /// Members that are added to each record, and the placeholders that they hold.
    pub add: BTreeMap<String, String>,
    /// Statuses that mean that a parent has no records.
    pub missing: Vec<u16>,
}

/// What identifies a record: names of keys, or JSON Pointers, whose values do so together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordId(pub Vec<String>);

/// How a run begins where the last one has ended, by a token of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Where a page names it.
    pub from: Option<String>,
    /// Where it goes in a request; by default it is a link, which is followed.
    pub into: Option<String>,
    /// Whether it is the cursor of the first page.
    pub begins: bool,
}

/// A lag as it is written: a duration, or a number, which is one of seconds for times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenLag {
    /// The duration, or the number as seconds.
    pub time: Duration,
    /// Whether it is written with a unit of time.
    pub has_unit: bool,
}

impl Then {
    /// The request for a page by its cursor, where `first` is that for the first one.
    pub fn request(&self, first: &Request) -> Request {
        Request {
            url: self.url.clone(),
            query: self.query.clone(),
            body: self.body.clone(),
            ..first.clone()
        }
    }
}

impl Watermark {
    /// Whether none of its keys is set; `lag` and `begins` do not count.
    pub fn is_empty(&self) -> bool {
        let set = [
            &self.field,
            &self.format,
            &self.zone,
            &self.into,
            &self.into_format,
            &self.param,
            &self.start,
        ];
        set.into_iter().all(Option::is_none)
    }
}

/// Bounds of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest duration of a run.
    pub budget: Duration,
    /// Longest time until an answer begins, and longest pause within it.
    pub timeout: Duration,
    /// Most pages of a run.
    pub max_pages: u64,
    /// Most decoded bytes of all pages.
    pub max_bytes: u64,
    /// Most records of a run.
    pub max_records: u64,
    /// Most bytes of one record.
    pub max_record: u64,
}

/// What a run reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A complete copy, which becomes visible as a whole.
    Snapshot,
    /// The records that are new or changed.
    Append,
}

/// Methods of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    #[default]
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// Body of a request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// No body.
    #[default]
    None,
    /// A JSON object.
    Json(JsonBody),
    /// Fields of a form.
    Form(BTreeMap<String, Secret>),
}

/// A JSON value that is never printed, as it may hold secrets.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct JsonBody(Value);

/// Kinds of pagination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaginationKind {
    /// There is only one page.
    #[default]
    None,
    /// By the number of records before the page.
    Offset,
    /// By the page's number.
    Page,
    /// By a cursor in the page.
    Cursor,
    /// By a URL in the page.
    NextUrl,
    /// By the `Link` header (RFC 8288), `rel="next"`.
    LinkHeader,
}

impl JsonBody {
    /// The value, which must not get into logs or errors.
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for JsonBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Body {
    /// The body with text at a place; `None` if the place cannot be there. Objects on the way are made.
    pub fn with(&self, pointer: &str, text: &str) -> Option<Self> {
        let path = pointer.strip_prefix('/')?;
        let keys = path
            .split('/')
            .map(|key| key.replace("~1", "/").replace("~0", "~"));
        let keys: Vec<String> = keys.collect();
        match self {
            Self::None => None,
            Self::Json(JsonBody(value)) => {
                let mut value = value.clone();
                let mut at = &mut value;
                for key in &keys {
                    at = at
                        .as_object_mut()?
                        .entry(key)
                        .or_insert_with(|| Value::Object(Map::new()));
                }
                let is_free = at.as_object().is_some_and(Map::is_empty);
                *at = is_free.then(|| Value::from(text))?;
                Some(Self::Json(JsonBody(value)))
            }
            Self::Form(fields) => {
                let [key] = keys.as_slice() else { return None };
                let mut fields = fields.clone();
                let before = fields.insert(key.clone(), Secret::new(text));
                before.is_none().then_some(Self::Form(fields))
            }
        }
    }
}

impl Verb {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Put];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Snapshot, Self::Append];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Append => "append",
        }
    }
}

impl PaginationKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Offset,
        Self::Page,
        Self::Cursor,
        Self::NextUrl,
        Self::LinkHeader,
    ];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Offset => "offset",
            Self::Page => "page",
            Self::Cursor => "cursor",
            Self::NextUrl => "next-url",
            Self::LinkHeader => "link-header",
        }
    }

    /// Whether a page names the next one by a link, in its body or in a header.
    pub fn follows_links(self) -> bool {
        matches!(self, Self::NextUrl | Self::LinkHeader)
    }

    /// Whether a setting of `pagination` applies to this kind.
    pub fn takes(self, setting: &str) -> bool {
        match setting {
            "param" => matches!(self, Self::Offset | Self::Page | Self::Cursor),
            "first" => matches!(self, Self::Page | Self::Offset),
            "step" => self == Self::Offset,
            "pages" => self == Self::Page,
            "next" => self.needs_next(),
            "next_as" | "begin" | "then" => self == Self::Cursor,
            "repeat_query" => self.follows_links(),
            "more" | "stop" | "limit" | "limit_param" => self != Self::None,
            _ => false,
        }
    }

    /// Whether the body must name the next page.
    pub fn needs_next(self) -> bool {
        matches!(self, Self::Cursor | Self::NextUrl)
    }
}
