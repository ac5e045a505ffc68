//! Writes rows: one line of the lake for each valid event, without its `lsn`.
//!
//! The keys are always the same, in the same order. Raw values are copied as they were sent, with
//! line ends (which can only be white space in valid JSON) replaced by spaces.

use std::collections::BTreeMap;

use uuid::fmt::Hyphenated;

use super::checked::{Checked, Refusal};
use super::event::{Event, User};
use super::faults::{Errors, Faults as _};
use super::ignore;
use super::named::Named;
use super::raw::{push_raw, push_string};
use super::rules::PartitionBy;
use super::terms::Contract;
use crate::quarantine::{self, Reason, Refused};
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::{Identity, Origin, RowKind, Rows};

/// The offset of the id in a row.
const ID_AT: usize = b"{\"event_id\":\"".len();
/// The length of `"received_at":"…",`.
const RECEIVED_AT_BYTES: usize = 44;
/// An estimate for reserving memory: few events are smaller.
const MIN_EVENT_BYTES: usize = 160;
/// An estimate for reserving memory: how much longer a row may be than its event.
const ENVELOPE_BYTES: usize = 160;

/// Collects the rows of one request.
#[derive(Debug)]
pub(super) struct RowWriter<'c> {
    contract: &'c Contract,
    origin: &'c Origin,
    /// The bytes `"received_at":"…",` of every row.
    received_at: Vec<u8>,
    rows: Rows,
    /// How many events were dropped, by index of the event type.
    dropped: Vec<u32>,
    partitions: Partitions,
    /// The parts of an event that are compared, if some are ignored; kept to reuse the allocation.
    counted: Vec<u8>,
}

/// The partitions of the request by their span of time, so that each key is formatted only once.
#[derive(Debug)]
struct Partitions {
    span_micros: i64,
    last: Option<(i64, u32)>,
    /// Earlier partitions. Most requests have a single partition, so this is usually empty.
    others: BTreeMap<i64, u32>,
}

impl<'c> RowWriter<'c> {
    /// Reserves memory for the rows of a body of that length.
    pub(super) fn new(contract: &'c Contract, origin: &'c Origin, body_bytes: usize) -> Self {
        let mut received_at = Vec::with_capacity(RECEIVED_AT_BYTES);
        received_at.extend_from_slice(b"\"received_at\":\"");
        origin.received_at.write(&mut received_at);
        received_at.extend_from_slice(b"\",");
        let mut rows = Rows::default();
        // A row is longer than its event by the keys that the sender left out.
        rows.bytes.reserve(body_bytes / 4 * 5 + ENVELOPE_BYTES);
        rows.rows.reserve(body_bytes / MIN_EVENT_BYTES + 1);
        Self {
            contract,
            origin,
            received_at,
            rows,
            dropped: vec![0; contract.rules().types.len()],
            partitions: Partitions {
                span_micros: contract.rules().partition.span_micros(),
                last: None,
                others: BTreeMap::new(),
            },
            counted: Vec::new(),
        }
    }

    /// Stores an event, or counts it if a rule drops it.
    pub(super) fn take(&mut self, event: &Event<'_>) {
        if let Named::Listed(index) = event.event_type
            && self.contract.is_dropped(index)
        {
            self.dropped[index] += 1;
            return;
        }
        let start = self.rows.bytes.len();
        self.write_before(event);
        let received_at = self.rows.bytes.len();
        self.rows.bytes.extend_from_slice(&self.received_at);
        let lsn_at = self.rows.bytes.len();
        self.write_after(event);

        let rules = self.contract.rules();
        let fingerprint = self.contract.fingerprint();
        let content = if self.contract.ignored().is_empty() && event.is_timed {
            let bytes = &self.rows.bytes;
            fingerprint.content(&bytes[start..received_at], &bytes[lsn_at..])
        } else {
            self.counted.clear();
            ignore::write_counted(self.contract, event, &mut self.counted);
            fingerprint.content(&self.counted, b"")
        };
        let tag = self.contract.tag(event.id.as_bytes());
        let time = match rules.partition.by() {
            PartitionBy::Timestamp => event.time,
            PartitionBy::ReceivedAt => self.origin.received_at,
        };
        let partition = self.partition(time);
        let lsn_at = u32::try_from(lsn_at - start).unwrap_or(u32::MAX);
        let kind = RowKind::Record(Identity { tag, content });
        self.rows.finish_row(lsn_at, partition, kind);
    }

    /// Counts an event that a rule drops.
    pub(super) fn count_dropped(&mut self, type_index: usize) {
        self.dropped[type_index] += 1;
    }

    /// Writes the row up to `received_at`.
    fn write_before(&mut self, event: &Event<'_>) {
        let out = &mut self.rows.bytes;
        let mut start = *b"{\"event_id\":\"00000000-0000-0000-0000-000000000000\",\"user_id\":";
        let id = &mut start[ID_AT..ID_AT + Hyphenated::LENGTH];
        event.id.hyphenated().encode_lower(id);
        out.extend_from_slice(&start);
        match event.user {
            User::Nobody => out.extend_from_slice(b"null,\"user\":null"),
            User::Id(id) => {
                push_string(out, id);
                out.extend_from_slice(b",\"user\":null");
            }
            User::Embedded { id, user } => {
                push_string(out, id);
                out.extend_from_slice(b",\"user\":");
                push_raw(out, user);
            }
        }
        match &event.event_type {
            Named::Listed(index) => {
                out.extend_from_slice(self.contract.event_type(*index).member());
            }
            Named::Other(name) => push_member(out, b",\"event_type\":", name),
        }
        match &event.source {
            Named::Listed(index) => out.extend_from_slice(self.contract.source(*index).member()),
            Named::Other(name) => push_member(out, b",\"source\":", name),
        }
        out.extend_from_slice(b",\"timestamp\":\"");
        event.time.write(out);
        out.extend_from_slice(b"\",");
    }

    /// Writes the row from the offset of the `lsn`.
    fn write_after(&mut self, event: &Event<'_>) {
        let out = &mut self.rows.bytes;
        out.extend_from_slice(b"\"properties\":");
        push_raw(out, event.properties);
        out.extend_from_slice(b",\"extra\":");
        if event.extra.is_empty() {
            out.extend_from_slice(b"null}");
            return;
        }
        let mut separator = b'{';
        for (key, value) in &event.extra {
            out.push(separator);
            push_json(out, &**key);
            out.push(b':');
            push_raw(out, value);
            separator = b',';
        }
        out.extend_from_slice(b"}}");
    }

    fn partition(&mut self, time: Micros) -> u32 {
        let span = time.0.div_euclid(self.partitions.span_micros);
        if let Some((last, index)) = self.partitions.last {
            if last == span {
                return index;
            }
            self.partitions.others.insert(last, index);
        }
        let index = match self.partitions.others.get(&span) {
            Some(index) => *index,
            None => {
                let key = self.contract.rules().partition.key(time);
                self.rows.partition(&key)
            }
        };
        self.partitions.last = Some((span, index));
        index
    }

    /// Takes an event, or sorts what is wrong with it, and keeps it as sent if the good ones are kept too.
    pub(super) fn settle(
        &mut self,
        event: Option<&Event<'_>>,
        raw: &str,
        found: &mut Errors,
        keeps_good_ones: bool,
    ) {
        if let Some(event) = event {
            self.take(event);
            return;
        }
        found.sort();
        if keeps_good_ones {
            self.quarantine(raw, found);
        }
    }

    /// Ends a request: what was written, or what was wrong if nothing is kept then.
    pub(super) fn end(self, errors: Errors, keeps_good_ones: bool) -> Result<Checked, Refusal> {
        let (errors, errors_total) = errors.into_parts();
        if errors_total > 0 && !keeps_good_ones {
            return Err(Refusal::Invalid {
                errors,
                errors_total,
            });
        }
        Ok(Checked {
            errors,
            errors_total,
            ..self.finish()
        })
    }

    /// Puts an invalid event into the quarantine.
    pub(super) fn quarantine(&mut self, raw: &str, errors: &Errors) {
        let rules = self.contract.rules();
        let stream = rules.partition.stream();
        let refused = Refused {
            reason: Reason::InvalidEvent,
            stream,
            origin: self.origin,
            errors: errors.listed(),
            errors_total: errors.total(),
            raw: raw.as_bytes(),
            max_raw_bytes: rules.max_quarantine_raw_bytes,
            hook: None,
            place: None,
        };
        let lsn_at = refused.write(&mut self.rows.bytes);
        let key = quarantine::partition(stream, self.origin.received_at);
        let partition = self.rows.partition(&key);
        self.rows
            .finish_row(lsn_at, partition, RowKind::Quarantined);
    }

    /// The result for the request.
    pub(super) fn finish(self) -> Checked {
        let mut received = u32::try_from(self.rows.rows.len()).unwrap_or(u32::MAX);
        let mut dropped = Vec::new();
        for (index, count) in self.dropped.into_iter().enumerate() {
            received = received.saturating_add(count);
            if count > 0 {
                dropped.push((index, count));
            }
        }
        Checked {
            rows: self.rows,
            received,
            dropped,
            errors: Vec::new(),
            errors_total: 0,
        }
    }
}

fn push_member(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    push_json(out, value);
}
