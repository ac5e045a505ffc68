//! Events of providers, whose bodies have forms of their own: the envelope comes from what the provider says,
//! and the whole body becomes the `properties`.

use serde_json::value::RawValue;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::check::{BYTE_ORDER_MARK, behind_mark, not_utf8};
use super::checked::{MAX_ERRORS, Refusal};
use super::faults::{Errors, Faults as _};
use super::raw::push_raw;
use super::rules::PartitionBy;
use super::strict::Scanner;
use super::terms::Contract;
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::{Identity, Origin, RowKind, Rows};

/// The envelope of a provider's event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The name of the provider; `source` in the lake.
    pub source: &'a str,
    /// The provider's id of the event, which a retry repeats.
    pub id: &'a str,
    /// The type of the event.
    pub event_type: &'a str,
    /// When it happened, if the provider says so.
    pub time: Option<Micros>,
}

/// A body without its byte order mark, if it has one.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

impl Contract {
    /// Makes a row of an event, whose body must be a JSON object. An id that is not a UUID is hashed into one, so
    /// that the same id of the same source always has the same UUID.
    pub fn foreign(
        &self,
        body: &[u8],
        envelope: &Envelope<'_>,
        origin: &Origin,
    ) -> Result<Rows, Refusal> {
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
        let mut errors = Errors::below(String::new(), MAX_ERRORS);
        if !raw.get().starts_with('{') {
            errors.add("type", String::new, || "an object".to_owned());
        }
        Scanner::default().scan(raw.get(), &String::new, &mut errors);
        if errors.total() > 0 {
            let (errors, errors_total) = errors.into_parts();
            return Err(Refusal::Invalid {
                errors,
                errors_total,
            });
        }
        Ok(self.foreign_row(raw.get(), envelope, origin))
    }

    fn foreign_row(&self, raw: &str, envelope: &Envelope<'_>, origin: &Origin) -> Rows {
        let id = uuid_of(envelope);
        let rules = self.rules();
        let received = origin.received_at;
        let is_near = |time: &Micros| {
            *time >= received.minus(rules.max_age) && *time <= received.plus(rules.max_ahead)
        };
        let time = envelope.time.filter(is_near).unwrap_or(received);

        let mut rows = Rows::default();
        let out = &mut rows.bytes;
        out.extend_from_slice(b"{\"event_id\":");
        push_json(out, &id.hyphenated().to_string());
        out.extend_from_slice(b",\"user_id\":null,\"user\":null,\"event_type\":");
        push_json(out, envelope.event_type);
        out.extend_from_slice(b",\"source\":");
        push_json(out, envelope.source);
        out.extend_from_slice(b",\"timestamp\":\"");
        time.write(out);
        out.extend_from_slice(b"\",\"received_at\":\"");
        received.write(out);
        out.extend_from_slice(b"\",");
        let lsn_at = u32::try_from(out.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(b"\"properties\":");
        push_raw(out, raw);
        out.extend_from_slice(b",\"extra\":null}");

        // Times are left out. If the provider gives none, the time of receipt is used, and it differs when
        // the request is sent again.
        let fingerprint = self.fingerprint();
        let identity = Identity {
            tag: fingerprint.tag(&rules.feed, id.as_bytes()),
            content: fingerprint.content(envelope.event_type.as_bytes(), raw.as_bytes()),
        };
        let by = match rules.partition.by() {
            PartitionBy::Timestamp => time,
            PartitionBy::ReceivedAt => received,
        };
        let partition = rows.partition(&rules.partition.key(by));
        rows.finish_row(lsn_at, partition, RowKind::Record(identity));
        rows
    }
}

/// The id if it is a UUID; otherwise a UUID hashed from it (RFC 9562, version 8).
fn uuid_of(envelope: &Envelope<'_>) -> Uuid {
    if let Ok(id) = Uuid::try_parse(envelope.id) {
        return id;
    }
    let named = [envelope.source.as_bytes(), &[0], envelope.id.as_bytes()].concat();
    uuid::Builder::from_custom_bytes(xxh3_128(&named).to_be_bytes()).into_uuid()
}
