//! Events of providers, whose bodies have forms of their own: the envelope comes from what the provider says,
//! and the whole event becomes the `properties`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::check::{BYTE_ORDER_MARK, behind_mark, not_utf8};
use super::checked::Refusal;
use super::event_ids;
use super::faults::{Errors, Faults as _};
use super::ignore::push_without;
use super::pointer::{self, Pointer};
use super::raw::push_raw;
use super::rules::PartitionBy;
use super::strict::Scanner;
use super::terms::Contract;
use crate::quarantine::{self, FieldError, MAX_ROW_ERRORS, OfHook, Reason, Refused};
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::{FeedTags, Identity, Origin, RowKind, Rows};

/// The envelope of a provider's event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The name of the provider; `source` in the lake.
    pub source: &'a str,
    /// The id of the event, which a retry repeats.
    pub id: &'a str,
    /// The id as the provider gave it, if it gave one.
    pub provider_id: Option<&'a str>,
    /// The type of the event.
    pub event_type: &'a str,
    /// The user whom it is about, if the provider says so.
    pub user: Option<&'a str>,
    /// When it happened, if the provider says so.
    pub time: Option<Micros>,
    /// What the provider says about the time, if that cannot be used.
    pub unusable_time: Option<&'a str>,
    /// Headers to keep, as the text of a JSON object.
    pub headers: Option<&'a str>,
    /// What stood beside the events of a batch, as the text of a JSON object.
    pub batch: Option<&'a str>,
}

/// Members of a provider's events that are left out when two copies are compared.
#[derive(Clone, Debug, Default)]
pub struct Ignored(Vec<Pointer>);

/// How events of one provider are identified.
#[derive(Clone, Debug)]
pub struct Scope {
    tags: FeedTags,
    ignored: Ignored,
}

/// A body without its byte order mark, if it has one.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

impl Ignored {
    /// Takes JSON Pointers into an event; what is none is left out.
    pub fn new<'t>(pointers: impl Iterator<Item = &'t str>) -> Self {
        Self(pointers.filter_map(pointer::parse).collect())
    }

    /// The parts of a JSON value that count.
    pub fn counted<'r>(&self, raw: &'r str) -> Cow<'r, [u8]> {
        if self.0.is_empty() {
            return Cow::Borrowed(raw.as_bytes());
        }
        let ignored: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        let mut counted = Vec::with_capacity(raw.len());
        push_without(&mut counted, raw, &ignored);
        Cow::Owned(counted)
    }
}

impl Contract {
    /// The scope of the ids of the provider of this name. Parts of events that are ignored in all events (below
    /// `/properties`) are ignored here too.
    pub fn scope(&self, name: &str, own: &Ignored) -> Scope {
        let below_properties = self.ignored().iter().filter_map(|pointer| {
            let (first, rest) = pointer.split_first()?;
            (first == "properties" && !rest.is_empty()).then(|| rest.to_vec())
        });
        Scope {
            tags: self.fingerprint().feed(&event_ids::scope_of(name)),
            ignored: Ignored(own.0.iter().cloned().chain(below_properties).collect()),
        }
    }

    /// The text of a body that is JSON in UTF-8, without white space around it.
    pub fn foreign_text<'b>(&self, body: &'b [u8]) -> Result<&'b str, Refusal> {
        let text = without_mark(body);
        let mark_bytes = body.len() - text.len();
        let text = std::str::from_utf8(text)
            .map_err(|error| not_utf8(&body[..mark_bytes + error.valid_up_to()]))?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let refusal = Refusal::Syntax {
                line: error.line(),
                // At the end of a text, serde_json reports column 0.
                column: error.column().max(1),
                detail: error.to_string(),
            };
            behind_mark(refusal, mark_bytes)
        })?;
        Ok(raw.get())
    }

    /// What is wrong with an event, which must be a JSON object that engines can read: at most `max_listed` errors,
    /// whose pointers begin with `prefix`, and the number of all.
    pub fn foreign_errors(
        &self,
        raw: &str,
        prefix: &str,
        max_listed: usize,
    ) -> (Vec<FieldError>, usize) {
        let mut errors = Errors::below(prefix.to_owned(), max_listed);
        if !raw.starts_with('{') {
            errors.add("type", String::new, || "an object".to_owned());
        }
        Scanner::default().scan(raw, &String::new, &mut errors);
        errors.into_parts()
    }

    /// Adds the row of an event without errors. An id that is not a UUID is hashed into one, so that the same id of the
    /// same source always has the same UUID.
    pub fn push_foreign(
        &self,
        rows: &mut Rows,
        scope: &Scope,
        raw: &str,
        envelope: &Envelope<'_>,
        origin: &Origin,
    ) {
        let id = event_ids::uuid_of(envelope.source, envelope.id);
        let received = origin.received_at;
        let time = envelope.time.unwrap_or(received);
        let start = rows.bytes.len();
        let out = &mut rows.bytes;
        out.extend_from_slice(b"{\"event_id\":");
        push_json(out, &id.hyphenated().to_string());
        out.extend_from_slice(b",\"user_id\":");
        push_json(out, &envelope.user);
        out.extend_from_slice(b",\"user\":null,\"event_type\":");
        push_json(out, envelope.event_type);
        out.extend_from_slice(b",\"source\":");
        push_json(out, envelope.source);
        out.extend_from_slice(b",\"timestamp\":\"");
        time.write(out);
        out.extend_from_slice(b"\",\"received_at\":\"");
        received.write(out);
        out.extend_from_slice(b"\",");
        let lsn_at = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out.extend_from_slice(b"\"properties\":");
        push_raw(out, raw);
        push_extra(out, envelope);

        // Times are left out. If the provider gives none, the time of receipt is used, and it differs when
        // the request is sent again.
        let rules = self.rules();
        let fingerprint = self.fingerprint();
        let kind = envelope.event_type.as_bytes();
        let identity = Identity {
            tag: scope.tags.tag(id.as_bytes()),
            content: fingerprint.content(kind, &scope.ignored.counted(raw)),
        };
        // Earlier versions had one scope for all ids, and ignored nothing.
        rows.former.push(Identity {
            tag: self.tag(id.as_bytes()),
            content: fingerprint.content(kind, raw.as_bytes()),
        });
        let by = match rules.partition.by() {
            PartitionBy::Timestamp => time,
            PartitionBy::ReceivedAt => received,
        };
        let partition = rows.partition(&rules.partition.key(by));
        rows.finish_row(lsn_at, partition, RowKind::Record(identity));
    }

    /// Adds a row of the quarantine for an event, or for a whole body, that cannot be a row of its own. All of its bytes
    /// are kept, because the sender is told that they are.
    pub fn push_unreadable(
        &self,
        rows: &mut Rows,
        (errors, errors_total): (&[FieldError], usize),
        raw: &[u8],
        origin: &Origin,
        hook: OfHook<'_>,
    ) {
        let stream = self.rules().partition.stream();
        let refused = Refused {
            reason: Reason::InvalidEvent,
            stream,
            origin,
            errors: &errors[..errors.len().min(MAX_ROW_ERRORS)],
            errors_total,
            raw,
            max_raw_bytes: usize::MAX,
            hook: Some(hook),
            place: None,
        };
        let lsn_at = refused.write(&mut rows.bytes);
        let key = quarantine::partition(stream, origin.received_at);
        let partition = rows.partition(&key);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
    }

    /// Whether a time is near enough to its receipt to be an event's.
    pub fn is_near(&self, time: Micros, received: Micros) -> bool {
        let rules = self.rules();
        time >= received.minus(rules.max_age) && time <= received.plus(rules.max_ahead)
    }
}

fn push_extra(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    let mut separator = b'{';
    let mut member = |out: &mut Vec<u8>, name: &[u8]| {
        out.push(std::mem::replace(&mut separator, b','));
        out.extend_from_slice(name);
    };
    out.extend_from_slice(b",\"extra\":");
    if let Some(id) = envelope.provider_id {
        member(out, b"\"provider_id\":");
        push_json(out, id);
    }
    if let Some(time) = envelope.unusable_time {
        member(out, b"\"provider_time\":");
        push_json(out, time);
    }
    if let Some(headers) = envelope.headers {
        member(out, b"\"headers\":");
        out.extend_from_slice(headers.as_bytes());
    }
    if let Some(batch) = envelope.batch {
        member(out, b"\"batch\":");
        push_raw(out, batch);
    }
    out.extend_from_slice(if separator == b'{' { b"null}" } else { b"}}" });
}
