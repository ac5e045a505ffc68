//! `[polls]` and `[poll.NAME]`: REST APIs that entities are pulled from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::{ByteSize, Span};
use super::apis::Api;
use super::auth::Auth;
use super::poll::children::{Each, IdKeys};
use super::poll::deleted::Deleted;
use super::poll::marks::Watermark;
use super::poll::windows::Window;
use super::poll_columns::{self, Column};
use super::poll_guards::{Guards, PollsBatch};
use super::poll_pages::{Csv, Empties, FailIf, Stop, Then};
use super::rate::Rate;
use super::rules;
use super::words;
use crate::poll::definition::{
    self, Body, ColumnDefinitions, Connection, Definition, JsonBody, Limits, Mode, PaginationKind,
    Request, Timing, Verb,
};
use crate::poll::form::{Begin, BodyFormat, NextAs, PageForm, RecordsAs, Step};
use crate::secret::Secret;

/// `[polls]`: what all polls share.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Polls {
    /// The directory of the polls' log, which is not that of events.
    #[schemars(length(min = 1))]
    pub dir: PathBuf,
    /// The most bytes that this log takes on disk; a snapshot must fit.
    #[validate(custom(function = rules::log_size))]
    pub max_bytes: ByteSize,
    /// How many runs may be under way at a time.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// When a batch of polled records is closed.
    #[validate(nested)]
    pub batch: PollsBatch,
}

/// `[poll.NAME]`: one API. Its name is also that of its stream in the lake.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Poll {
    /// The URL of the first page; its path and its query may hold placeholders.
    #[validate(custom(function = rules::url_template))]
    pub url: String,
    /// The API that the poll belongs to: the name of a section `[api.NAME]`.
    pub api: Option<String>,
    /// What follows the URL of the API; it may hold placeholders.
    pub path: String,
    /// The method of every request.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Verb>")]
    pub method: Verb,
    /// The JSON object that every request sends; its strings may hold placeholders.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>", extend("writeOnly" = true))]
    pub body: Option<JsonBody>,
    /// The form that every request sends; its values may hold placeholders.
    pub form: BTreeMap<String, Secret>,
    /// Parameters of every request.
    pub query: BTreeMap<String, Secret>,
    /// Headers of every request to the origin of `url`.
    pub headers: BTreeMap<String, Secret>,
    /// The credentials of requests.
    #[validate(nested)]
    pub auth: Auth,
    /// JSON Pointer to the records in a page; empty for the whole body. The step `*` stands for each
    /// element.
    pub records: String,
    /// What stands there.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<RecordsAs>")]
    pub records_as: RecordsAs,
    /// The format of a page.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<BodyFormat>")]
    pub format: BodyFormat,
    /// The form of a table.
    pub csv: Option<Csv>,
    /// The key that a record gets its name in a map under.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub map_key: Option<String>,
    /// Where the number of records in all pages is.
    pub total: Option<String>,
    /// Which pages have nothing to report, and are no failure.
    pub empty: Empties,
    /// What a page says that reports a failure.
    pub fail_if: Option<FailIf>,
    /// JSON Pointer to the text of an error.
    pub error: Option<String>,
    /// How one page leads to the next.
    #[validate(nested)]
    pub pagination: Pagination,
    /// The time between two runs.
    #[validate(custom(function = rules::interval))]
    pub every: Option<Span>,
    /// Each run is delayed by a random time of at most this length.
    pub jitter: Span,
    /// When runs begin, as a cron expression.
    #[validate(custom(function = rules::cron))]
    pub cron: Option<String>,
    /// The time zone of the cron expression.
    #[validate(custom(function = rules::time_zone))]
    pub time_zone: String,
    /// Whether a run is a snapshot or appends.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Mode>")]
    pub mode: Mode,
    /// How an appending run asks for what is new.
    #[validate(nested)]
    pub watermark: Watermark,
    /// The windows that an appending run asks for.
    #[validate(nested)]
    pub window: Option<Window>,
    /// The other poll, for each of whose records this one reads.
    #[validate(nested)]
    pub each: Option<Each>,
    /// Where a page names the token that the next run begins with: a JSON Pointer, or `header:NAME`.
    pub resume_from: Option<String>,
    /// Where the token goes in a request; by default it is a link, which is followed.
    pub resume_into: Option<String>,
    /// What says that a record is deleted.
    #[validate(nested)]
    pub deleted: Option<Deleted>,
    /// Whether the mark is kept when the request changes.
    pub keep_mark: bool,
    /// The file of the JSON Schema that records must fulfil.
    #[schemars(length(min = 1))]
    pub schema: Option<PathBuf>,
    /// Name of the key that identifies a record, or a JSON Pointer to it; or a list of them.
    pub id: Option<IdKeys>,
    /// The most requests within a time; 0 means no limit.
    pub rate_limit: Rate,
    /// How long making a connection may take.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub connect_timeout: Span,
    /// How long the API may be silent, before and during its answer.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub timeout: Span,
    /// How long a whole run may take.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub budget: Span,
    /// The most pages of a run.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_pages: u64,
    /// The most bytes of all pages of a run, after decoding.
    pub max_bytes: ByteSize,
    /// The most records of a run.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_records: u64,
    /// The most bytes of one record, as sent.
    #[validate(custom(function = rules::record_size))]
    pub max_record: ByteSize,
    /// Other hosts that redirects and links may lead to.
    #[validate(custom(function = rules::hosts))]
    pub allow_hosts: Vec<String>,
    /// What must hold before the rows of a run become visible.
    #[validate(nested)]
    pub guards: Guards,
    /// How columns are made of what the API sends.
    pub columns: BTreeMap<String, Column>,
}

/// `[poll.NAME.pagination]`: how one page leads to the next.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Pagination {
    /// The kind of pagination.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<PaginationKind>")]
    pub r#type: PaginationKind,
    /// The parameter that says which page: the offset, the page's number, or the cursor.
    pub param: Option<String>,
    /// The parameter that says how many records a page should have.
    pub limit_param: Option<String>,
    /// How many records a page should have.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub limit: Option<u64>,
    /// The number of the first page, or the offset of the first record.
    pub first: Option<u64>,
    /// How far an offset goes on from page to page.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Step>")]
    pub step: Step,
    /// Where the next page's cursor or URL is.
    pub next: Option<String>,
    /// How that goes into the request: as text, as the JSON value that it is, or as parameters.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<NextAs>")]
    pub next_as: NextAs,
    /// What the first page is asked for with, as later ones are with their cursor.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Begin>")]
    pub begin: Begin,
    /// How a page is asked for by its cursor, if not as the first one.
    pub then: Option<Then>,
    /// Where a page says whether there is a next one.
    pub more: Option<String>,
    /// Where the number of pages is.
    pub pages: Option<String>,
    /// When a page is the last one, although it may name a next one.
    pub stop: Option<Stop>,
    /// The parameters of `query` that are added to links to the next page.
    pub repeat_query: Vec<String>,
}

impl Default for Polls {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/polls"),
            max_bytes: ByteSize::mib(2048),
            concurrency: 2,
            batch: PollsBatch::default(),
        }
    }
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            url: String::new(),
            api: None,
            path: String::new(),
            method: Verb::Get,
            body: None,
            form: BTreeMap::new(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            auth: Auth::default(),
            records: String::new(),
            records_as: RecordsAs::List,
            format: BodyFormat::Json,
            csv: None,
            map_key: None,
            total: None,
            empty: Empties::default(),
            fail_if: None,
            error: None,
            pagination: Pagination::default(),
            every: None,
            jitter: Span::seconds(0),
            cron: None,
            time_zone: "UTC".to_owned(),
            mode: Mode::Snapshot,
            watermark: Watermark::default(),
            window: None,
            each: None,
            resume_from: None,
            resume_into: None,
            deleted: None,
            keep_mark: false,
            schema: None,
            id: None,
            rate_limit: Rate::default(),
            connect_timeout: Span::seconds(10),
            timeout: Span::seconds(30),
            budget: Span::seconds(900),
            max_pages: 10_000,
            max_bytes: ByteSize::mib(4096),
            max_records: 1_000_000,
            max_record: ByteSize::mib(1),
            allow_hosts: Vec::new(),
            guards: Guards::default(),
            columns: BTreeMap::new(),
        }
    }
}

impl Poll {
    fn request_body(&self) -> Body {
        match &self.body {
            Some(json) => Body::Json(json.clone()),
            None if self.form.is_empty() => Body::None,
            None => Body::Form(self.form.clone()),
        }
    }

    /// The poll with all that it has from its API; its own parameters and headers take precedence.
    pub(super) fn complete(&self, api: Option<&Api>) -> Self {
        let Some(api) = api else {
            return self.clone();
        };
        let merged = |shared: &BTreeMap<String, Secret>, own: &BTreeMap<String, Secret>| {
            let mut merged = shared.clone();
            merged.extend(own.clone());
            merged
        };
        Self {
            url: api.at(&self.path),
            pagination: self.pagination.of_api(api),
            query: merged(&api.query, &self.query),
            headers: merged(&api.headers, &self.headers),
            auth: api.auth.clone(),
            rate_limit: api.rate_limit,
            connect_timeout: api.connect_timeout,
            allow_hosts: api.allow_hosts.clone(),
            ..self.clone()
        }
    }

    /// What the poll's runs need to know; `api` is the API that it belongs to.
    pub fn definition(&self, api: Option<&Api>) -> Definition {
        let mut definition = self.complete(api).own_definition();
        if let Some(api) = api {
            definition.request.connection = api.connection();
        }
        definition
    }

    /// Whether the other poll of `each` takes snapshots is not known here.
    fn own_definition(&self) -> Definition {
        Definition {
            request: Request {
                url: self.url.clone(),
                method: self.method,
                body: self.request_body(),
                query: self.query.clone(),
                headers: self.headers.clone(),
                credentials: self.auth.credentials(),
                api: self.api.clone(),
                pace: self.rate_limit.pace(),
                connection: Connection {
                    connect_timeout: self.connect_timeout.duration(),
                    ..Connection::default()
                },
                allow_hosts: self.allow_hosts.clone(),
            },
            page: PageForm {
                records: self.records.clone(),
                records_as: self.records_as,
                format: self.format,
                csv: self.csv.as_ref().map(Csv::form).unwrap_or_default(),
                map_key: self.map_key.clone(),
                total: self.total.clone(),
                empty: self.empty.empty(),
                fail_if: self.fail_if.as_ref().map(FailIf::condition),
                error: self.error.clone(),
            },
            pagination: self.pagination.definition(),
            timing: Timing {
                every: self.every.map(Span::duration),
                cron: self.cron.clone(),
                time_zone: self.time_zone.clone(),
                jitter: self.jitter.duration(),
            },
            mode: self.mode,
            watermark: definition::Watermark {
                begins: self.pagination.begin == Begin::Mark,
                ..self.watermark.definition()
            },
            window: self.window.as_ref().map(Window::definition),
            each: self.each.as_ref().map(|each| each.definition(false)),
            token: definition::Token {
                from: self.resume_from.clone(),
                into: self.resume_into.clone(),
                begins: self.pagination.begin == Begin::Token,
            },
            keep_mark: self.keep_mark,
            schema: self.schema.clone(),
            id: self.id.as_ref().map(IdKeys::definition),
            limits: Limits {
                budget: self.budget.duration(),
                timeout: self.timeout.duration(),
                max_pages: self.max_pages,
                max_bytes: self.max_bytes.bytes(),
                max_records: self.max_records,
                max_record: self.max_record.bytes(),
            },
            guards: self.guards.definition(),
            columns: ColumnDefinitions {
                rules: poll_columns::rules(&self.columns),
                ..ColumnDefinitions::default()
            },
        }
    }
}

impl Pagination {
    /// The pagination with all that it has from the poll's API.
    fn of_api(&self, api: &Api) -> Self {
        let then = self.then.as_ref().map(|then| then.of_api(api));
        Self {
            then,
            ..self.clone()
        }
    }

    fn definition(&self) -> definition::Pagination {
        definition::Pagination {
            kind: self.r#type,
            param: self.param.clone(),
            limit_param: self.limit_param.clone(),
            limit: self.limit,
            first: self.first,
            step: self.step,
            next: self.next.clone(),
            next_as: self.next_as,
            begin: self.begin,
            then: self.then.as_ref().map(Then::definition),
            more: self.more.clone(),
            pages: self.pages.clone(),
            // A rule that cannot be one was reported.
            stop: self.stop.as_ref().and_then(|stop| stop.rule().ok()),
            repeat_query: self.repeat_query.clone(),
        }
    }
}
