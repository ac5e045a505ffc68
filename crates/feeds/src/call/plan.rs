//! Plans a call: makes everything that its runs need from its definition.

use std::path::Path;

use http::header::HeaderName;

use super::answer::Places;
use super::definition::Definition;
use super::group::Identities;
use crate::poll::exchange::Exchange;
use crate::poll::link::Links;
use crate::poll::plan::schema_text;
use crate::poll::request::Requests;
use lakehook_base::columns::Kinds;
use lakehook_base::record::{Fingerprint, Identity};
use lakehook_base::tables::Table;
use lakehook_contract::entity::{ColumnSettings, Entities, FieldPath};

/// Section of calls in the configuration.
pub const SECTION: &str = "call";
/// What follows a call's name in that of the stream of groups that were sent.
pub const SENT: &str = "_sent";
/// The schema of that stream.
const SENT_SCHEMA: &str = r#"{"type":"object","properties":{
    "group":{"type":["string","null"],"description":"The value that keeps the rows of the group together"},
    "call":{"type":["string","null"],"description":"The key of the request; null if there was none"},
    "file":{"type":"string","description":"The file of the outbox"},
    "line":{"type":"integer","description":"The line of the group's first row in it, from 1"},
    "rows":{"type":"integer","description":"Number of rows that were sent"},
    "answered":{"type":"integer","description":"Number of records in the answer that name the group"},
    "failed":{"type":"integer","description":"Number of failures that name the group, or 1 if it was refused"},
    "status":{"type":["integer","null"],"description":"The status of the answer; null if nothing was sent"}}}"#;

/// Everything about a call that does not change between runs.
#[derive(Debug)]
pub struct Plan {
    /// Name of the call, which is that of its stream.
    pub name: String,
    /// Its settings.
    pub definition: Definition,
    /// Name of the stream of groups that were sent.
    pub(super) sent_stream: String,
    /// Turns records into rows.
    pub(super) entities: Entities,
    /// Turns groups that were sent into rows.
    pub(super) sent: Entities,
    pub(super) exchange: Exchange,
    pub(super) requests: Requests,
    pub(super) idempotency: Option<HeaderName>,
    fingerprint: Fingerprint,
}

/// Why a call cannot be planned: names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl Plan {
    /// Reads the schema and builds the plan. Calls and polls of one API get the same of the links.
    pub fn new(
        name: &str,
        definition: &Definition,
        fingerprint: Fingerprint,
        links: &mut Links,
    ) -> Result<Self, PlanError> {
        let bad = |what: &str| PlanError(format!("call.{name}: {what}"));
        let schema = schema_of(name, definition.schema.as_deref())?;
        let schema = schema
            .as_ref()
            .map(|(file, text)| (file.as_str(), text.as_str()));
        let id = definition.id.iter().flat_map(|id| &id.0);
        let id = id.map(|key| FieldPath::new(key)).collect();
        let wrong = |error| PlanError(format!("call.{name}.schema: {error}"));
        let entities = Entities::new(
            name,
            schema,
            id,
            None,
            fingerprint,
            ColumnSettings::default(),
        );
        let sent_stream = format!("{name}{SENT}");
        let own = Some((sent_stream.as_str(), SENT_SCHEMA));
        let sent = Entities::new(
            &sent_stream,
            own,
            Vec::new(),
            None,
            fingerprint,
            ColumnSettings::default(),
        );
        let requests = Requests::new(&definition.request).map_err(bad)?;
        let link = links
            .of(name, &definition.request)
            .map_err(|what| bad(&what))?;
        let limits = definition.limits;
        let exchange = Exchange::new(link, &definition.request, limits.timeout, limits.max_answer);
        let header = definition.idempotency_header.as_deref();
        let header = header.map(|name| HeaderName::from_bytes(name.as_bytes()));
        let header = header.transpose();
        Ok(Self {
            name: name.to_owned(),
            definition: definition.clone(),
            entities: entities.map_err(wrong)?,
            sent: sent.map_err(wrong)?,
            sent_stream,
            exchange,
            requests,
            idempotency: header.map_err(|_| bad("idempotency_header is no name of a header"))?,
            fingerprint,
        })
    }

    /// The streams of a call, with their tables.
    pub fn tables(name: &str, definition: &Definition) -> Result<Vec<(String, Table)>, PlanError> {
        let schema = schema_of(name, definition.schema.as_deref())?;
        let text = schema.as_ref().map(|(_, text)| text.as_str());
        let id = definition.id.as_ref().map_or(&[][..], |id| &id.0);
        let wrong = |error| PlanError(format!("call.{name}.schema: {error}"));
        let own = Table::entities(text, id, &Kinds::default()).map_err(wrong)?;
        let sent = Table::entities(Some(SENT_SCHEMA), &[], &Kinds::default()).map_err(wrong)?;
        Ok(vec![
            (name.to_owned(), own),
            (format!("{name}{SENT}"), sent),
        ])
    }

    /// Statuses that say that there is nothing.
    pub(super) fn missing(&self) -> &[u16] {
        let lookup = self.definition.lookup.as_ref();
        lookup.map_or(&[], |lookup| &lookup.missing)
    }

    /// Where an answer says what.
    pub(super) fn places(&self) -> Places<'_> {
        Places {
            success: self.definition.success.as_ref(),
            records: &self.definition.records,
            failures: self.definition.failures.as_deref(),
        }
    }

    pub(super) fn success_pointer(&self) -> &str {
        let success = self.definition.success.as_ref();
        success.map_or("", |success| &success.pointer)
    }

    /// The member that keeps rows together: that of a lookup is its key.
    pub(super) fn group(&self) -> Option<&str> {
        let lookup = self.definition.lookup.as_ref().map(|lookup| &lookup.key);
        lookup
            .or(self.definition.group.as_ref())
            .map(String::as_str)
    }

    /// What groups are known by once they were sent.
    pub(super) fn identities(&self) -> Identities<'_> {
        Identities {
            fingerprint: &self.fingerprint,
            stream: &self.sent_stream,
            is_lookup: self.definition.lookup.is_some(),
            fresh: self
                .definition
                .lookup
                .as_ref()
                .and_then(|lookup| lookup.fresh),
        }
    }

    /// The identity of a record: where it stands in which answer, of which the log takes one.
    pub(super) fn identity(&self, call: &str, index: usize) -> Identity {
        let known_by = format!("{call} {index}");
        Identity {
            tag: self.fingerprint.tag(&self.name, known_by.as_bytes()),
            content: self.fingerprint.content(known_by.as_bytes(), b""),
        }
    }
}

fn schema_of(name: &str, path: Option<&Path>) -> Result<Option<(String, String)>, PlanError> {
    schema_text(name, path).map_err(|error| {
        // The same file is read for polls, whose section the error names.
        PlanError(error.to_string().replacen("poll.", "call.", 1))
    })
}
