//! Plans a poll: makes everything that its runs need from its definition.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::auth::Auth;
use super::client::{Client, ClientSettings};
use super::complaint::Hidden;
use super::definition::{AuthKind, Definition, Limits, Mode, Pagination, PaginationKind};
use super::form::Stop;
use super::pages::{Pages, Position, Rules};
use super::schedule::{Schedule, parse_cron, parse_zone};
use super::wanted::{Steering, Wanted};
use crate::collect::CollectPlan;
use crate::watermark::Mark;
use lakehook_base::record::Fingerprint;
use lakehook_base::secret::Secret;
use lakehook_contract::SchemaError;
use lakehook_contract::entity::{Entities, FieldPath};

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
    /// What is wanted of a page.
    pub wanted: Wanted,
    /// Turns records into rows.
    pub entities: Entities,
    /// Makes the requests.
    pub client: Client,
    /// Bounds of a run.
    pub limits: Limits,
    /// Hash of the watermark's field and parameter; if it differs, the watermark is discarded.
    pub marks: u64,
    /// Hash of the settings that a stored cursor depends on; if it differs, snapshot and resume position
    /// are discarded.
    pub hash: u64,
    url: Url,
    query: BTreeMap<String, Secret>,
    pagination: Pagination,
    has_ids: bool,
}

/// How an appending run asks for what is new.
#[derive(Clone, Debug)]
pub struct AskFrom {
    /// Name of the parameter.
    pub param: String,
    /// The next run asks from this much before the highest value seen.
    pub lag: Duration,
    /// Watermark of the first run.
    pub start: Option<Mark>,
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
    pub fn new(name: &str, poll: &Definition, fingerprint: Fingerprint) -> Result<Self, PlanError> {
        let bad = |what: &str| PlanError::Config {
            poll: name.to_owned(),
            what: what.to_owned(),
        };
        let (entities, schema_hash) = entities(name, poll, fingerprint)?;
        let mut url = Url::parse(&poll.request.url).map_err(|_| bad("the url cannot be used"))?;
        let query = poll.request.query.clone();
        add_missing(&mut url, &query);
        let schedule = schedule(poll).ok_or_else(|| bad("cron or time_zone cannot be used"))?;
        let wanted = wanted(poll).map_err(|what| bad(&what))?;
        let settings = settings(poll, &url, &wanted);
        let settings = settings.ok_or_else(|| bad("auth cannot be used"))?;
        let client = Client::new(settings).map_err(|what| bad(&what))?;
        let remembered = (
            url.as_str(),
            (&poll.page, &poll.pagination, schema_hash),
            (&poll.watermark, &poll.id, poll.mode),
            (&poll.request.credentials.user, headers_hash(poll)),
        );
        let marks = (&poll.watermark.field, &poll.watermark.param);
        Ok(Self {
            name: name.to_owned(),
            schedule,
            jitter: poll.timing.jitter,
            mode: poll.mode,
            watermark: ask_from(poll),
            marks: xxh3_64(format!("{marks:?}").as_bytes()),
            hash: xxh3_64(format!("{remembered:?}").as_bytes()),
            wanted,
            entities,
            client,
            limits: poll.limits,
            url,
            query,
            pagination: poll.pagination.clone(),
            has_ids: poll.id.is_some(),
        })
    }

    /// The part of the plan that the collector needs.
    pub fn collect_plan(&self) -> CollectPlan<'_> {
        CollectPlan {
            section: SECTION,
            stream: &self.name,
            entities: &self.entities,
            is_snapshot: self.mode == Mode::Snapshot,
            has_watermark: self.watermark.is_some(),
            max_records: self.limits.max_records,
            max_record: self.limits.max_record,
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
            has_ids: self.has_ids,
            max_pages: self.limits.max_pages,
        }
    }

    /// Adds those parameters to a link that the configuration says are repeated, and the link does not
    /// have. Other than that, links are followed as the API wrote them.
    fn repeat_query(&self, url: &mut Url) {
        let names = &self.pagination.repeat_query;
        let named = self.query.iter().filter(|(name, _)| names.contains(name));
        let named = named.map(|(name, value)| (name.clone(), value.clone()));
        add_missing(url, &named.collect());
    }

    /// The URL of a page. URLs that come from a page were resolved and allowed when it was read.
    pub fn page_url(&self, position: &Position, since: Option<Mark>) -> Result<Url, String> {
        if let Position::Url(next) = position {
            // It is checked again, because a run under another configuration may have resolved it.
            let mut next = self.client.follow(&self.url, next)?;
            if self.client.is_home(&next) {
                self.repeat_query(&mut next);
            }
            return Ok(next);
        }
        let mut url = self.url.clone();
        let paging = &self.pagination;
        let param = |default: &str| paging.param.clone().unwrap_or_else(|| default.to_owned());
        {
            let mut query = url.query_pairs_mut();
            if let (Some(from), Some(since)) = (&self.watermark, since) {
                query.append_pair(&from.param, &since.to_string());
            }
            match position {
                Position::Offset(offset) => {
                    query.append_pair(&param("offset"), &offset.to_string());
                }
                Position::Page(number) => {
                    query.append_pair(&param("page"), &number.to_string());
                }
                Position::Cursor(cursor) => {
                    query.append_pair(&param("cursor"), cursor);
                }
                Position::First | Position::Url(_) => {}
            }
            if let Some(limit) = paging.limit {
                let name = paging.limit_param.as_deref().unwrap_or("limit");
                query.append_pair(name, &limit.to_string());
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        Ok(url)
    }
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
    let id = poll.id.as_deref().map(FieldPath::new);
    let mark = poll.watermark.field.as_deref().map(FieldPath::new);
    let entities = Entities::new(name, schema, id, mark, fingerprint).map_err(wrong)?;
    let hash = entities.schema_hash();
    Ok((entities, hash))
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

/// Adds the configured parameters that a URL does not have.
fn add_missing(url: &mut Url, query: &BTreeMap<String, Secret>) {
    for (name, value) in query {
        if !url.query_pairs().any(|(own, _)| own == *name) {
            url.query_pairs_mut().append_pair(name, value.expose());
        }
    }
}

/// Part of the plan's hash: another header may mean another tenant.
fn headers_hash(poll: &Definition) -> u64 {
    let headers = poll.request.headers.iter();
    let headers = headers.map(|(name, value)| (name, value.expose()));
    let text = format!("{:?}", headers.collect::<Vec<_>>());
    xxh3_64(text.as_bytes())
}

fn schedule(poll: &Definition) -> Option<Schedule> {
    let timing = &poll.timing;
    match (timing.every, &timing.cron) {
        (Some(every), _) => Some(Schedule::Every(every)),
        (None, Some(cron)) => {
            let cron = parse_cron(cron).ok()?;
            Some(Schedule::Cron(
                Box::new(cron),
                parse_zone(&timing.time_zone)?,
            ))
        }
        (None, None) => Some(Schedule::OnDemand),
    }
}

fn ask_from(poll: &Definition) -> Option<AskFrom> {
    let mark = &poll.watermark;
    Some(AskFrom {
        param: mark.param.clone()?,
        lag: mark.lag,
        start: mark.start.as_deref().and_then(Mark::parse_text),
    })
}

fn wanted(poll: &Definition) -> Result<Wanted, String> {
    let paging = &poll.pagination;
    let steering = Steering {
        next: paging.next.as_deref(),
        more: paging.more.as_deref(),
        pages: paging.pages.as_deref(),
        stop: match &paging.stop {
            Some(Stop::Told(condition)) => Some(condition),
            _ => None,
        },
        token: None,
        takes_hints: paging.kind == PaginationKind::None,
    };
    Wanted::new(&poll.page, &steering)
}

fn settings(poll: &Definition, home: &Url, wanted: &Wanted) -> Option<ClientSettings> {
    let mut headers = HeaderMap::new();
    let request = &poll.request;
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    let auth = &request.credentials;
    let user = auth.user.as_deref().unwrap_or_default();
    let password = auth.password.as_ref();
    let auth = match auth.kind {
        AuthKind::None => Auth::none(),
        AuthKind::Bearer => Auth::bearer(auth.token.as_ref()?)?,
        AuthKind::Basic => Auth::basic(user, password)?,
        AuthKind::Header => Auth::header_of(auth.header.as_deref()?, auth.token.as_ref()?)?,
        AuthKind::OAuth2 => {
            let token_url = Url::parse(auth.token_url.as_deref()?).ok()?;
            Auth::client_credentials(token_url, user, password, auth.scope.clone())?
        }
    };
    Some(ClientSettings {
        home: home.clone(),
        headers,
        auth,
        allow_hosts: request.allow_hosts.clone(),
        connect_timeout: request.connect_timeout,
        timeout: poll.limits.timeout,
        pace: match request.rate_limit {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) / rate,
        },
        past_end: match &poll.pagination.stop {
            Some(Stop::Status(statuses)) => statuses.clone(),
            _ => Vec::new(),
        },
        wanted: wanted.clone(),
        hidden: Hidden::of(request),
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
