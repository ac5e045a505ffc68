//! Definition of a poll: its settings in plain values, and the names of its kinds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use lakehook_base::secret::Secret;

/// All settings of one poll.
#[derive(Clone, Debug)]
pub struct Definition {
    /// How pages are requested.
    pub request: Request,
    /// JSON Pointer to the list of records in a page; empty for the whole body.
    pub records: String,
    /// JSON Pointer to the number of records in all pages.
    pub total: Option<String>,
    /// How one page leads to the next.
    pub pagination: Pagination,
    /// When the poll runs.
    pub timing: Timing,
    /// What a run reads.
    pub mode: Mode,
    /// How an appending run asks for what is new.
    pub watermark: Watermark,
    /// A file with the JSON Schema of a record.
    pub schema: Option<PathBuf>,
    /// Name of the key that identifies a record, or a JSON Pointer to it.
    pub id: Option<String>,
    /// Bounds of a run.
    pub limits: Limits,
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
    /// Most requests per second; 0 means no limit.
    pub rate_limit: u32,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// Other hosts that redirects and links may lead to.
    pub allow_hosts: Vec<String>,
}

/// Credentials, as they are configured.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Kind of credentials.
    pub kind: AuthKind,
    /// The bearer token, or the value of the header.
    pub token: Option<Secret>,
    /// Name of the header.
    pub header: Option<String>,
    /// The user, or the OAuth2 client.
    pub user: Option<String>,
    /// The password, or the secret of the OAuth2 client.
    pub password: Option<Secret>,
    /// URL of the OAuth2 token server.
    pub token_url: Option<String>,
    /// The OAuth2 scope.
    pub scope: Option<String>,
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
    /// Number of the first page.
    pub first: Option<u64>,
    /// JSON Pointer to the cursor or the URL of the next page.
    pub next: Option<String>,
    /// JSON Pointer to a boolean that says whether there is a next page.
    pub more: Option<String>,
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
#[derive(Clone, Debug)]
pub struct Watermark {
    /// JSON Pointer or name of the field that grows: a time (RFC 3339) or a whole number.
    pub field: Option<String>,
    /// Name of the parameter that asks for records from a value on.
    pub param: Option<String>,
    /// The next run begins this much before the highest value seen; whole numbers count as seconds.
    pub lag: Duration,
    /// Watermark of the first run.
    pub start: Option<String>,
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

/// Kinds of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthKind {
    /// No credentials.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`.
    Basic,
    /// A header that the configuration names.
    Header,
    /// A bearer token by the OAuth2 client credentials grant (RFC 6749, section 4.4).
    OAuth2,
}

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

impl AuthKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Bearer,
        Self::Basic,
        Self::Header,
        Self::OAuth2,
    ];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::OAuth2 => "oauth2",
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
            "first" => self == Self::Page,
            "next" => self.needs_next(),
            "more" => !matches!(self, Self::None | Self::LinkHeader),
            "limit" | "limit_param" => self != Self::None,
            _ => false,
        }
    }

    /// Whether the body must name the next page.
    pub fn needs_next(self) -> bool {
        matches!(self, Self::Cursor | Self::NextUrl)
    }
}
