//! The fast pass: reads a body once, on borrowed bytes, and writes rows as it goes.
//!
//! It gives up at the first thing that is wrong or unusual; the slow pass then explains what it is.

use super::checked::Checked;
use super::event::{Field, Fields, Judge};
use super::faults::Counted;
use super::reader::{Member, Reader};
use super::row::RowWriter;
use super::terms::Contract;
use lakehook_base::record::Origin;

/// The rows of a body in which every event is valid; `None` if the slow pass must read the body.
pub(super) fn check(contract: &Contract, body: &str, origin: &Origin) -> Option<Checked> {
    let mut pass = Pass {
        reader: Reader::new(body),
        judge: Judge::new(contract, origin.received_at),
        writer: RowWriter::new(contract, origin, body.len()),
        members: Vec::new(),
        order: Name::ALL,
        max_event_bytes: contract.rules().max_event_bytes,
    };
    pass.body(contract.rules().max_events)?;
    Some(pass.writer.finish())
}

struct Pass<'c, 'a> {
    reader: Reader<'a>,
    judge: Judge<'c, 'a>,
    writer: RowWriter<'c>,
    /// The members of the properties of the current event.
    members: Vec<Member<'a>>,
    /// The order of members in the previous event; usually the next event has the same order.
    order: [Name; Name::ALL.len()],
    max_event_bytes: usize,
}

/// The members of an event that have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    EventId,
    UserId,
    EventType,
    Source,
    Timestamp,
    Properties,
}

impl Name {
    const ALL: [Self; 6] = [
        Self::EventId,
        Self::UserId,
        Self::EventType,
        Self::Source,
        Self::Timestamp,
        Self::Properties,
    ];

    fn of(key: &str) -> Option<Self> {
        Some(match key {
            "event_id" => Self::EventId,
            "user_id" => Self::UserId,
            "event_type" => Self::EventType,
            "source" => Self::Source,
            "timestamp" => Self::Timestamp,
            "properties" => Self::Properties,
            _ => return None,
        })
    }

    /// Passes this name and the colon if they come next, without escapes and without white space between.
    #[inline]
    fn is_next(self, reader: &mut Reader<'_>) -> bool {
        match self {
            Self::EventId => reader.passes_all(b"\"event_id\":"),
            Self::UserId => reader.passes_all(b"\"user_id\":"),
            Self::EventType => reader.passes_all(b"\"event_type\":"),
            Self::Source => reader.passes_all(b"\"source\":"),
            Self::Timestamp => reader.passes_all(b"\"timestamp\":"),
            Self::Properties => reader.passes_all(b"\"properties\":"),
        }
    }
}

impl<'a> Pass<'_, 'a> {
    /// Reads `{"events":[…]}` and refuses anything else.
    fn body(&mut self, max_events: usize) -> Option<()> {
        self.reader.pass(b'{')?;
        if self.reader.string()?.text() != "events" {
            return None;
        }
        self.reader.pass(b':')?;
        self.reader.pass(b'[')?;
        if !self.reader.passes(b']') {
            let mut events = 0;
            loop {
                events += 1;
                if events > max_events {
                    return None;
                }
                self.event()?;
                if !self.reader.passes(b',') {
                    break;
                }
            }
            self.reader.pass(b']')?;
        }
        self.reader.pass(b'}')?;
        self.reader.peek().is_none().then_some(())
    }

    /// Reads one event, and stores it.
    fn event(&mut self) -> Option<()> {
        self.reader.peek()?;
        let start = self.reader.position();
        let fields = self.gather()?;
        if self.reader.position() - start > self.max_event_bytes {
            return None;
        }
        let faults = &mut Counted::default();
        let event = self.judge.judge(fields, Some(&self.members), faults)?;
        self.writer.take(&event);
        Some(())
    }

    fn gather(&mut self) -> Option<Fields<'a>> {
        let mut fields = Fields::default();
        self.members.clear();
        self.reader.pass(b'{')?;
        let mut place = 0;
        loop {
            match self.order.get(place) {
                Some(name) if name.is_next(&mut self.reader) => {
                    let name = *name;
                    self.known(name, &mut fields)?;
                }
                _ => self.other(place, &mut fields)?,
            }
            place += 1;
            if !self.reader.passes(b',') {
                self.reader.pass(b'}')?;
                return Some(fields);
            }
        }
    }

    /// Reads a member whose name is not the expected one.
    fn other(&mut self, place: usize, fields: &mut Fields<'a>) -> Option<()> {
        let key = self.reader.string()?.text();
        self.reader.pass(b':')?;
        let Some(name) = Name::of(&key) else {
            fields.extra.push((key, self.reader.value()?));
            return Some(());
        };
        if place < self.order.len()
            && let Some(before) = self.order.iter().position(|known| *known == name)
        {
            self.order.swap(place, before);
        }
        self.known(name, fields)
    }

    /// Reads the value of a known member.
    #[inline]
    fn known(&mut self, name: Name, fields: &mut Fields<'a>) -> Option<()> {
        let reader = &mut self.reader;
        match name {
            Name::EventId => set(&mut fields.event_id, reader.string()?.text()),
            Name::UserId => set(&mut fields.user_id, reader.value()?),
            Name::EventType => set(&mut fields.event_type, reader.string()?.text()),
            Name::Source => set(&mut fields.source, reader.string()?.text()),
            Name::Timestamp => set(&mut fields.timestamp, reader.string()?.text()),
            Name::Properties => set(&mut fields.properties, reader.object(&mut self.members)?),
        }
    }
}

fn set<T>(field: &mut Field<T>, value: T) -> Option<()> {
    if !matches!(field, Field::Missing) {
        return None;
    }
    *field = Field::Is(value);
    Some(())
}
