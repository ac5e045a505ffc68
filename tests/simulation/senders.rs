//! The senders of a simulation: what they sent, and what they were answered.

use lakehook::clock::Micros;
use lakehook::ids::NodeId;
use lakehook::lake::keys;
use lakehook::record::{Identity, Lsn, Origin, RowKind, Rows};
use lakehook::wal::logs::log_of;
use lakehook::wal::request::{Append, AppendError, Appended, NO_RUN, Reply};

use crate::chance::{Chance, mix};

/// The partition of these senders' quarantined rows.
pub(crate) const QUARANTINE: &str = "quarantine/events/dt=2026-11-20";
const PARTITIONS: [&str; 4] = [
    "events/dt=2026-11-20",
    "events/dt=2026-11-21",
    "events/dt=2026-11-19/hour=07",
    "users/dt=2026-11-20",
];

/// The partitions that a time falls into: those of whole days, since the world stands still for less.
pub(crate) fn partitions_of(time: Micros) -> [String; 4] {
    let day = time.to_utc().unwrap_or_default().format("dt=%Y-%m-%d");
    [
        format!("events/{day}"),
        format!("users/{day}"),
        format!("orders/{day}"),
        format!("quarantine/events/{day}"),
    ]
}

/// What happened to a request, as far as its sender knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request is still in the queue.
    Waiting,
    Acknowledged(Appended),
    /// It is certain that nothing was stored.
    Refused(AppendError),
    /// The answer was 503, or there was none.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct SentRow {
    pub(crate) kind: RowKind,
    pub(crate) partition: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) rows: Vec<SentRow>,
    pub(crate) dropped: u64,
    pub(crate) received_at: Micros,
    pub(crate) outcome: Outcome,
    /// Whether the sender learns nothing from the log any more.
    pub(crate) is_cut_off: bool,
    /// The ids and contents of its records, for sending them again.
    events: Vec<(u64, u32)>,
}

impl SentRow {
    /// The tag of a record.
    pub(crate) fn tag(&self) -> Option<u64> {
        match self.kind {
            RowKind::Record(identity) => Some(identity.tag),
            _ => None,
        }
    }
}

impl Sent {
    pub(crate) fn append(&self) -> Append {
        let mut rows = Rows::default();
        for row in &self.rows {
            let partition = rows.partition(&row.partition);
            rows.bytes.extend_from_slice(&row.bytes);
            rows.finish_row(1, partition, row.kind);
        }
        Append {
            rows,
            dropped: self.dropped,
            origin: Origin {
                received_at: self.received_at,
                endpoint: "/webhook/events".into(),
                request_id: self.name.as_str().into(),
                client: None,
            },
            run: NO_RUN,
            cursor: None,
        }
    }

    /// The ids of its records.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.events.iter().map(|(id, _)| *id)
    }

    /// How many events count as received if the request is acknowledged.
    pub(crate) fn events_total(&self) -> u64 {
        let refused = |row: &&SentRow| row.kind == RowKind::Refused;
        self.rows.len() as u64 - self.rows.iter().filter(refused).count() as u64 + self.dropped
    }
}

/// All requests that were sent so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Senders {
    pub(crate) sent: Vec<Sent>,
    next_id: u64,
    /// The number of the only log that they send to, and how many there are, if they are several.
    pub(crate) share: Option<(usize, usize)>,
    /// Whether they send to a cluster, which splits their requests.
    send_to_all: bool,
}

impl Senders {
    /// Those of a cluster, which splits their requests.
    pub(crate) fn of_cluster() -> Self {
        Self {
            send_to_all: true,
            ..Self::default()
        }
    }

    /// Makes a request with new ids, known ids, ids of a request whose answer was lost, or known ids with
    /// other content.
    pub(crate) fn send(&mut self, chance: &mut Chance, now: Micros) -> usize {
        let late_micros = match chance.below(20) {
            0 => chance.below(9_000_000),
            _ => chance.below(2_000_000),
        };
        let received_at = Micros(now.0 - late_micros.cast_signed());
        let mut sent = Sent {
            name: self.name(),
            rows: Vec::new(),
            dropped: chance.below(3),
            received_at,
            outcome: Outcome::Waiting,
            is_cut_off: false,
            events: Vec::new(),
        };
        if chance.percent(8) && self.has_quarantine() {
            sent.push(RowKind::Refused, QUARANTINE, "refused", chance);
        } else if !self.sent.is_empty() && chance.percent(25) {
            // The whole request is sent again, as after a lost answer; usually a recent one.
            let recent = self.sent.len() - 1 - chance.index(self.sent.len().min(6));
            for (id, content) in self.sent[recent].events.clone() {
                sent.push_event(id, content, chance);
            }
        } else {
            self.fill(&mut sent, chance);
        }
        self.sent.push(sent);
        self.sent.len() - 1
    }

    /// Makes a request with one new event of this size.
    pub(crate) fn send_one(&mut self, chance: &mut Chance, now: Micros) -> usize {
        let mut sent = Sent {
            name: self.name(),
            rows: Vec::new(),
            dropped: 0,
            received_at: now,
            outcome: Outcome::Waiting,
            is_cut_off: false,
            events: Vec::new(),
        };
        let id = self.new_id();
        sent.push_event(id, 0, chance);
        self.sent.push(sent);
        self.sent.len() - 1
    }

    /// Sends the last request again, as after a lost answer.
    pub(crate) fn send_again(&mut self, chance: &mut Chance, now: Micros) -> usize {
        match self.sent.len() {
            0 => self.send_one(chance, now),
            sent => self.repeat(sent - 1, chance, now),
        }
    }

    fn fill(&mut self, sent: &mut Sent, chance: &mut Chance) {
        let rows = match chance.below(12) {
            0 => 0,
            1 => chance.between(20, 60),
            _ => chance.between(1, 8),
        };
        for _ in 0..rows {
            match chance.below(20) {
                0 if self.has_quarantine() => {
                    sent.push(RowKind::Quarantined, QUARANTINE, "invalid", chance);
                }
                1..=3 if self.next_id > 0 => {
                    let id = self.own_id(1 + chance.below(self.next_id));
                    let content = u32::from(chance.percent(30));
                    sent.push_event(id, content, chance);
                }
                _ => {
                    let id = self.new_id();
                    sent.push_event(id, 0, chance);
                }
            }
        }
    }

    fn name(&self) -> String {
        let kind = if self.send_to_all { 'c' } else { 'r' };
        format!("{kind}{}", self.sent.len())
    }

    /// What has no identity goes to the first of several logs.
    fn has_quarantine(&self) -> bool {
        self.share.is_none_or(|(log, _)| log == 0)
    }

    /// The next id that is theirs to send, from this one on.
    fn own_id(&self, mut id: u64) -> u64 {
        while let Some((log, logs)) = self.share
            && log_of(mix(id), logs) != log
        {
            id += 1;
        }
        id
    }

    fn new_id(&mut self) -> u64 {
        self.next_id = self.own_id(self.next_id + 1);
        self.next_id
    }

    /// Notes a part of a request, which is on its way to this log.
    pub(crate) fn add_part(&mut self, whole: &Sent, part: &Append) -> usize {
        let rows = part.rows.iter().map(|(row, bytes)| SentRow {
            kind: row.kind,
            partition: part.rows.partitions[row.partition as usize].clone(),
            bytes: bytes.to_vec(),
        });
        let rows: Vec<_> = rows.collect();
        let is_here = |tag: u64| {
            let mut tags = rows.iter().filter_map(SentRow::tag);
            tags.any(|here| here == tag)
        };
        let events = whole.events.iter().copied();
        self.sent.push(Sent {
            name: whole.name.clone(),
            dropped: part.dropped,
            received_at: part.origin.received_at,
            outcome: Outcome::Waiting,
            is_cut_off: false,
            events: events.filter(|(id, _)| is_here(mix(*id))).collect(),
            rows,
        });
        self.sent.len() - 1
    }

    /// Makes a request with all events of an earlier one.
    pub(crate) fn repeat(&mut self, earlier: usize, chance: &mut Chance, now: Micros) -> usize {
        let events = self.sent[earlier].events.clone();
        let again = self.send_one(chance, now);
        self.sent[again].rows.clear();
        self.sent[again].events.clear();
        for (id, content) in events {
            self.sent[again].push_event(id, content, chance);
        }
        again
    }

    /// Whoever would have answered is gone.
    pub(crate) fn lose(&mut self, request: usize) {
        let sent = &mut self.sent[request];
        if !sent.is_cut_off {
            sent.outcome = Outcome::Unknown;
        }
    }

    pub(crate) fn answer(&mut self, request: usize, reply: Reply) {
        if self.sent[request].is_cut_off {
            return;
        }
        self.sent[request].outcome = match reply {
            Ok(appended) => Outcome::Acknowledged(appended),
            Err(AppendError::Storage(_)) => Outcome::Unknown,
            Err(error) => Outcome::Refused(error),
        };
    }
}

impl Sent {
    fn push_event(&mut self, id: u64, content: u32, chance: &mut Chance) {
        let identity = Identity {
            tag: mix(id),
            content,
        };
        let partition = PARTITIONS[usize::try_from(mix(id) % 7 % 4).unwrap()];
        let says = format!("e{id}.{content}");
        self.push(RowKind::Record(identity), partition, &says, chance);
        self.events.push((id, content));
    }

    fn push(&mut self, kind: RowKind, partition: &str, says: &str, chance: &mut Chance) {
        let pad = match chance.below(40) {
            0 => chance.between(2000, 9000),
            1..=4 => chance.between(200, 1500),
            _ => chance.below(100),
        };
        let (name, index) = (&self.name, self.rows.len());
        let pad = "x".repeat(usize::try_from(pad).unwrap());
        let bytes =
            format!("{{\"from\":\"{name}.{index}\",\"says\":\"{says}\",\"pad\":\"{pad}\"}}");
        self.rows.push(SentRow {
            kind,
            partition: partition.to_owned(),
            bytes: bytes.into_bytes(),
        });
    }
}

/// Writes the row of a conflict; see [`lakehook::wal::request::Settings`].
pub(crate) fn conflict_row(origin: &Origin, row: &[u8], out: &mut Vec<u8>) -> u32 {
    let row = serde_json::to_string(&String::from_utf8_lossy(row)).unwrap();
    let text = format!("{{\"conflict\":\"{}\",\"row\":{row}}}", origin.request_id);
    out.extend_from_slice(text.as_bytes());
    1
}

pub(crate) fn conflict_partition(_origin: &Origin) -> String {
    QUARANTINE.to_owned()
}

pub(crate) fn object_key(partition: &str, node: NodeId, first: Lsn, format: &str) -> String {
    keys::object_key(partition, node, first, format)
}
