//! Plans a poll: makes everything that its runs need from its definition.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::asking::{self, AskFrom};
use super::client::{Client, ClientSettings};
use super::complaint::Hidden;
use super::definition::{Definition, Limits, Mode, Pagination, PaginationKind};
use super::each::Each;
use super::facts;
use super::form::{Begin, NextAs, Stop};
use super::link::Links;
use super::pages::{Pages, Position, Rules};
use super::request::{self, PageRequest, Requests};
use super::schedule::Schedule;
use super::template::{Filler, Values};
use super::tokens::{self, Resumption};
use super::wanted::{Steering, Wanted};
use super::windows::Windows;
use crate::collect::CollectPlan;
use crate::cursor::Terms;
use crate::guards::Guards;
use crate::watermark::Mark;
use lakehook_base::clock::Micros;
use lakehook_base::columns::kept_as_text;
use lakehook_base::record::Fingerprint;
use lakehook_contract::SchemaError;
use lakehook_contract::column_rules::ColumnRules;
use lakehook_contract::entity::{ColumnSettings, Entities, FieldPath};

/// Section of polls in the configuration.
pub const SECTION: &str = "poll";

/// Everything about a poll that does not change between runs.
#[derive(Debug)]
pub struct Plan {
    /// Name of the poll, which is that of its stream.
    pub name: String,
    /// When the poll runs.
    pub schedule: Schedule,
    /// Each run starts later than scheduled by a random time of up to this.
    pub jitter: Duration,
    /// What a run reads.
    pub mode: Mode,
    /// How an appending run asks for what is new.
    pub watermark: Option<AskFrom>,
    /// What divides a run into passes over the pages.
    pub division: Division,
    /// What is wanted of a page.
    pub wanted: Wanted,
    /// Turns records into rows.
    pub entities: Entities,
    /// Makes the requests.
    pub client: Client,
    /// Bounds of a run.
    pub limits: Limits,
    /// What must hold before rows become visible.
    pub guards: Guards,
    /// Hashes of what a stored cursor depends on.
    hashes: Hashes,
    home: Url,
    requests: PlannedRequests,
    pagination: Pagination,
}

/// How pages are asked for.
#[derive(Debug)]
struct PlannedRequests {
    /// The first one, and every other one.
    first: Requests,
    /// By their cursor, if not as the first one.
    by_cursor: Option<Requests>,
}

/// What divides a run into passes over the pages.
#[derive(Clone, Debug, Default)]
pub struct Division {
    /// The windows that an appending run asks for.
    pub windows: Option<Windows>,
    /// The other poll, for each of whose records it reads.
    pub each: Option<Each>,
    /// How a run begins with the token of the last one.
    pub resumption: Option<Resumption>,
}

/// Hashes of what a stored cursor depends on.
#[derive(Clone, Copy, Debug)]
struct Hashes {
    /// Of the settings that snapshot and resume position depend on.
    plan: u64,
    field: u64,
    /// Of field and parameter, as earlier versions have written it.
    earlier: u64,
    request: u64,
    keep: bool,
}

impl Hashes {
    fn new(poll: &Definition, plan: u64) -> Self {
        let mark = &poll.watermark;
        let earlier = (&mark.field, &mark.param);
        let then = poll.pagination.then.as_ref();
        let by_cursor = then.map_or(0, |then| request::scope_of(&then.request(&poll.request)));
        Self {
            plan,
            field: match &poll.token.from {
                None => xxh3_64(format!("field {:?}", mark.field).as_bytes()),
                Some(from) => xxh3_64(format!("field {:?}, token {from}", mark.field).as_bytes()),
            },
            earlier: xxh3_64(format!("{earlier:?}").as_bytes()),
            request: request::scope_of(&poll.request) ^ by_cursor.rotate_left(1),
            keep: poll.keep_mark,
        }
    }
}

/// Why a poll cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The schema of the poll cannot be used.
    #[error("poll.{poll}.schema: {error}")]
    Schema {
        /// Name of the poll.
        poll: String,
        /// Error of the schema.
        error: SchemaError,
    },
    /// A setting cannot be used; the checks of the configuration should have found it.
    #[error("poll.{poll}: {what}")]
    Config {
        /// Name of the poll.
        poll: String,
        /// What cannot be used.
        what: String,
    },
}

impl Plan {
    /// Reads the schema and builds the plan.
    /// Polls of one API get the same of the links.
    pub fn new(
        name: &str,
        poll: &Definition,
        fingerprint: Fingerprint,
        links: &mut Links,
    ) -> Result<Self, PlanError> {
        let bad = |what: &str| PlanError::Config {
            poll: name.to_owned(),
            what: what.to_owned(),
        };
        let (entities, schema_hash) = entities(name, poll, fingerprint)?;
        let watermark = AskFrom::new(&poll.watermark, &poll.request).map_err(|wrongs| {
            let rules = wrongs.iter().map(|wrong| wrong.rule.as_str());
            bad(&rules.collect::<Vec<_>>().join("; "))
        })?;
        let windows = poll.window.as_ref().map(Windows::new).transpose();
        let windows = windows.map_err(|_| bad("window cannot be used"))?;
        let request = asking::with_mark(&poll.request, &poll.watermark);
        let request = tokens::with_token(&request, &poll.token);
        let requests = Requests::new(&request).map_err(&bad)?;
        let uses_token = poll.token.into.is_none() && requests.uses("token");
        let resumption = Resumption::new(&poll.token, &poll.request, uses_token);
        let resumption = resumption.map_err(|(_, rule)| bad(&rule))?;
        let home = requests.home().map_err(|what| bad(&what))?;
        let by_cursor = by_cursor(poll, &home).map_err(|what| bad(&what))?;
        let timing = &poll.timing;
        let schedule = Schedule::of(timing.every, timing.cron.as_deref(), &timing.time_zone);
        let schedule = schedule.ok_or_else(|| bad("cron or time_zone cannot be used"))?;
        let wanted = wanted(poll).map_err(|what| bad(&what))?;
        let link = links.of(name, &poll.request).map_err(|what| bad(&what))?;
        let client = Client::new(link, client_settings(poll, &home, &wanted));
        let remembered = (
            request::hash_of(&poll.request),
            (&poll.page, &poll.pagination, schema_hash),
            (&poll.watermark, &poll.window, &poll.each, &poll.token),
            (&poll.id, poll.mode),
            &poll.request.credentials.user,
        );
        Ok(Self {
            name: name.to_owned(),
            schedule,
            jitter: poll.timing.jitter,
            mode: poll.mode,
            watermark,
            division: Division {
                windows,
                each: poll.each.as_ref().map(Each::new),
                resumption,
            },
            hashes: Hashes::new(poll, xxh3_64(format!("{remembered:?}").as_bytes())),
            wanted,
            entities,
            client,
            limits: poll.limits,
            guards: poll.guards,
            home,
            requests: PlannedRequests {
                first: requests,
                by_cursor,
            },
            pagination: poll.pagination.clone(),
        })
    }

    /// The part of the plan that the collector needs; `accept` lifts the guards.
    pub fn collect_plan(&self, accept: bool) -> CollectPlan<'_> {
        CollectPlan {
            section: SECTION,
            stream: &self.name,
            entities: &self.entities,
            is_snapshot: self.mode == Mode::Snapshot,
            mark: self.watermark.as_ref().map(|from| &from.format),
            max_records: self.limits.max_records,
            guards: self.guards,
            accept,
        }
    }

    /// A mark that was remembered, in the format of this poll.
    pub fn remembered(&self, text: Option<&str>) -> Option<Mark> {
        self.watermark.as_ref()?.format.read_remembered(text?)
    }

    /// What a stored cursor must fit.
    pub fn terms<'a>(&'a self, lake: &'a str) -> Terms<'a> {
        Terms {
            plan: self.hashes.plan,
            field: self.hashes.field,
            earlier: self.hashes.earlier,
            request: self.hashes.request,
            keep_mark: self.hashes.keep,
            format: self.watermark.as_ref().map(|from| &from.format),
            lake,
        }
    }

    /// The kind of pagination.
    pub fn paging(&self) -> PaginationKind {
        self.pagination.kind
    }

    /// The pages of a run, from the first.
    pub fn pages(&self) -> Pages {
        Pages::new(self.rules())
    }

    /// The pages of a run, from a position that an earlier run reached.
    pub fn pages_from(&self, position: Position, read: u64) -> Pages {
        Pages::at(self.rules(), position, read)
    }

    fn rules(&self) -> Rules {
        let paging = &self.pagination;
        let first = u64::from(paging.kind == PaginationKind::Page);
        Rules {
            kind: paging.kind,
            first: paging.first.unwrap_or(first),
            limit: paging.limit,
            step: paging.step,
            stop: paging.stop.clone(),
            may_grow: self.mode == Mode::Append,
            has_ids: self.entities.has_ids(),
            max_pages: self.limits.max_pages,
        }
    }

    /// The values of placeholders that do not change during a run.
    pub fn run_values(&self, since: Option<&Mark>, started: Micros) -> Result<Values, String> {
        let mut values = Values::default();
        values.set("run_start", started.to_string());
        if let (Some(from), Some(since)) = (&self.watermark, since) {
            values.set("mark", from.filler(since)?);
        }
        Ok(values)
    }

    /// The cursor of the first page, where that is the mark.
    pub(super) fn cursor_of(&self, since: &Mark) -> Option<String> {
        let from = self.watermark.as_ref()?;
        let begins = self.pagination.begin == Begin::Mark;
        begins.then(|| from.sent_as.write(since))
    }

    /// The request for a page. URLs that come from a page were resolved and allowed when it was read.
    pub fn page_request(
        &self,
        position: &Position,
        run_values: &Values,
        now: Micros,
    ) -> Result<PageRequest, String> {
        let mut values = run_values.clone();
        values.set("now", now.to_string());
        if let Some(limit) = self.pagination.limit {
            values.set("limit", limit);
        }
        match position {
            Position::Offset(offset) => values.set("offset", *offset),
            Position::Page(number) => values.set("page", *number),
            Position::Cursor(cursor) => return self.request_by_cursor(cursor, values),
            Position::First => {}
            Position::Url(next) => {
                // It is checked again, because a run under another configuration may have resolved it.
                let mut next = self.client.follow(&self.home, next)?;
                if self.client.is_home(&next) {
                    let repeated = &self.pagination.repeat_query;
                    self.requests
                        .first
                        .repeat_query(&mut next, repeated, &values);
                }
                return self.requests.first.followed(next, &values);
            }
        }
        let parameters = self.parameters(&self.requests.first, &values);
        self.requests.first.page(&values, &parameters)
    }

    fn request_by_cursor(&self, cursor: &str, mut values: Values) -> Result<PageRequest, String> {
        let requests = &self.requests;
        let requests = requests.by_cursor.as_ref().unwrap_or(&requests.first);
        let mut replaced = Vec::new();
        match self.pagination.next_as {
            NextAs::Text => values.set("cursor", cursor),
            NextAs::Json => values.set("cursor", Filler::Json(cursor.to_owned())),
            NextAs::Parameters => replaced = facts::parameters_of(cursor),
        }
        let parameters = self.parameters(requests, &values);
        let mut request = requests.page(&values, &parameters)?;
        request::replace_query(&mut request.url, &replaced);
        Ok(request)
    }

    /// The parameters of a page: each value that exists and that no placeholder stands for.
    fn parameters(&self, requests: &Requests, values: &Values) -> Vec<(String, String)> {
        let paging = &self.pagination;
        let since = self.watermark.as_ref();
        let since = since.and_then(|from| from.param.as_deref());
        let own = |default| Some(paging.param.as_deref().unwrap_or(default));
        let limit = paging.limit_param.as_deref().unwrap_or("limit");
        let all = [
            ("mark", since),
            ("offset", own("offset")),
            ("page", own("page")),
            ("cursor", own("cursor")),
            ("limit", Some(limit)),
        ];
        let named = all.into_iter().filter_map(|(name, param)| {
            let value = values.get(name).filter(|_| !requests.uses(name))?;
            Some((param?.to_owned(), value.text().to_owned()))
        });
        named.collect()
    }
}

/// How pages are asked for by their cursor, if not as the first one.
fn by_cursor(poll: &Definition, home: &Url) -> Result<Option<Requests>, String> {
    let Some(then) = &poll.pagination.then else {
        return Ok(None);
    };
    let requests = Requests::new(&then.request(&poll.request)).map_err(str::to_owned)?;
    if requests.home()?.origin() != home.origin() {
        return Err(
            "pagination.then must be of the same origin as url, which gets the credentials"
                .to_owned(),
        );
    }
    Ok(Some(requests))
}

fn entities(
    name: &str,
    poll: &Definition,
    fingerprint: Fingerprint,
) -> Result<(Entities, u64), PlanError> {
    let wrong = |error| PlanError::Schema {
        poll: name.to_owned(),
        error,
    };
    let schema = schema_text(name, poll.schema.as_deref())?;
    let schema = schema
        .as_ref()
        .map(|(file, text)| (file.as_str(), text.as_str()));
    let id = poll.id.iter().flat_map(|id| &id.0);
    let id = id.map(|key| FieldPath::new(key)).collect();
    let mark = poll.watermark.field.as_deref().map(FieldPath::new);
    let settings = column_settings(name, poll, schema.map(|(_, text)| text))?;
    let entities = Entities::new(name, schema, id, mark, fingerprint, settings).map_err(wrong)?;
    let hash = entities.schema_hash();
    Ok((entities, hash))
}

/// The compiled rules of a poll's columns, and the types that are given.
pub(super) fn column_settings(
    name: &str,
    poll: &Definition,
    schema: Option<&str>,
) -> Result<ColumnSettings, PlanError> {
    let rules = ColumnRules::new(&poll.columns.rules).map_err(|errors| PlanError::Config {
        poll: name.to_owned(),
        what: errors.first().map_or_else(String::new, ToString::to_string),
    })?;
    let kept = schema.map(|schema| kept_as_text(schema, &poll.columns.kept_as_text));
    // What is no schema is told where it is compiled.
    let mut given = kept.and_then(Result::ok).unwrap_or_default();
    let of_rules = rules.kinds();
    given.extend(of_rules.map(|(column, kind)| (column.to_owned(), kind)));
    let live = poll.columns.live.clone();
    Ok(ColumnSettings {
        rules,
        given,
        live,
        reserved: &[],
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "schemas are read before anything durable"
)]
fn read_text(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// The schema of a poll's records, with the name of its file.
pub fn schema_text(
    name: &str,
    schema: Option<&Path>,
) -> Result<Option<(String, String)>, PlanError> {
    let Some(path) = schema else {
        return Ok(None);
    };
    let file = path.display().to_string();
    match read_text(path) {
        Ok(text) => Ok(Some((file, text))),
        Err(source) => Err(PlanError::Schema {
            poll: name.to_owned(),
            error: SchemaError::Read { name: file, source },
        }),
    }
}

fn wanted(poll: &Definition) -> Result<Wanted, String> {
    let paging = &poll.pagination;
    let steering = Steering {
        next: paging.next.as_deref(),
        next_as: paging.next_as,
        more: paging.more.as_deref(),
        pages: paging.pages.as_deref(),
        stop: match &paging.stop {
            Some(Stop::Told(condition)) => Some(condition),
            _ => None,
        },
        token: poll.token.from.as_deref(),
        takes_hints: paging.kind == PaginationKind::None,
    };
    Wanted::new(&poll.page, &steering)
}

/// What the client needs to know of a poll.
fn client_settings(poll: &Definition, home: &Url, wanted: &Wanted) -> ClientSettings {
    ClientSettings {
        home: home.clone(),
        allow_hosts: poll.request.allow_hosts.clone(),
        missing: poll.each.as_ref().map_or_else(
            // The token of the last run is not valid any more.
            || poll.token.from.iter().map(|_| 410).collect(),
            |each| each.missing.clone(),
        ),
        timeout: poll.limits.timeout,
        past_end: match &poll.pagination.stop {
            Some(Stop::Status(statuses)) => statuses.clone(),
            _ => Vec::new(),
        },
        wanted: wanted.clone(),
        hidden: Hidden::of(&poll.request),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
