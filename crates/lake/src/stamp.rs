//! The stamp of an object: what it says of itself beside its bytes. It is written as the object's
//! metadata when it is put, and the audit reads it back.
//!
//! Hashes are 128 bits in hex, counts are decimal. Stores keep names in lower case and limit the
//! metadata to 2 KiB in all. Every existing lake contains these names and forms, so they never
//! change.

use xxhash_rust::xxh3::xxh3_128;

use super::keys::holder_of;
use super::object::Metadata;
use lakehook_base::checksum::crc32c;
use lakehook_base::ids::NodeId;
use lakehook_base::record::Lsn;

/// The node whose log holds the object's rows.
pub const NODE: &str = "lakehook-node";
/// The number of its seal.
pub const SEAL: &str = "lakehook-seal";
/// A random number that the log fixed before the put: an object with this nonce is ours.
pub const NONCE: &str = "lakehook-nonce";
/// The partition of its rows.
pub const PARTITION: &str = "lakehook-partition";
/// LSN of its first row.
pub const FIRST_LSN: &str = "lakehook-first-lsn";
/// LSN of its last row.
pub const LAST_LSN: &str = "lakehook-last-lsn";
/// Number of its rows.
pub const COUNT: &str = "lakehook-count";
/// Sum of the hashes of its rows; for an object of text, the hash of the text.
pub const ROW_HASH: &str = "lakehook-row-hash";
/// Sum of the hashes of its LSNs.
pub const LSN_HASH: &str = "lakehook-lsn-hash";
/// CRC-32C of its bytes.
pub const CRC: &str = "lakehook-crc32c";
/// The highest LSN of the log at the time of the seal.
pub const AS_OF_LSN: &str = "lakehook-as-of-lsn";
/// Sum of the hashes of all LSNs up to and including that of [`AS_OF_LSN`].
pub const AS_OF_LSN_HASH: &str = "lakehook-as-of-lsn-hash";
/// Count of the LSNs that are in no seal yet, and the sum of their hashes.
pub const AS_OF_OPEN: &str = "lakehook-as-of-open";
/// Count of the void LSNs, and the sum of their hashes.
pub const AS_OF_VOID: &str = "lakehook-as-of-void";
/// Everything received before this time is in this seal or an earlier one.
pub const AS_OF_WATERMARK: &str = "lakehook-as-of-watermark";
/// Names of the running totals, in the order of [`RunningTotals::values`].
pub const TOTALS: [&str; 6] = [
    "lakehook-total-received",
    "lakehook-total-stored",
    "lakehook-total-dropped",
    "lakehook-total-duplicate",
    "lakehook-total-quarantined",
    "lakehook-total-refused",
];
/// The erasure that rewrote the object last.
pub const ERASURE: &str = "lakehook-erasure";
/// How many of its rows were erased.
pub const ERASED_ROWS: &str = "lakehook-erased-rows";
/// Sum of the hashes of the LSNs of erased rows.
pub const ERASED_LSN_HASH: &str = "lakehook-erased-lsn-hash";
/// The run whose marker the object is, or whose rows it holds although they did not pass the log.
pub(super) const RUN: &str = "lakehook-run";

/// What an object of rows says of itself, and of its node's log at the time of its seal: enough to audit a
/// lake from listings alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The node whose log holds the rows.
    pub node: NodeId,
    /// The number of the seal; from 1.
    pub seal: u64,
    /// A random number that the seal fixed.
    pub nonce: u128,
    /// The partition of the rows.
    pub partition: String,
    /// LSN of the first row.
    pub first_lsn: Lsn,
    /// LSN of the last row.
    pub last_lsn: Lsn,
    /// Number of rows.
    pub count: u64,
    /// Sum of the hashes of the rows modulo 2^128.
    pub row_hash: u128,
    /// Sum of the hashes of the LSNs modulo 2^128.
    pub lsn_hash: u128,
    /// CRC-32C of the object's bytes.
    pub crc: u32,
    /// The log at the time of the seal.
    pub as_of: LogState,
    /// What was erased from the object since. Everything but the checksum is as it was at the seal.
    pub erased: Option<Erased>,
    /// The run of a parcel: an object whose rows did not pass the log. It has no seal and says nothing of the
    /// log; in place of LSNs it has the parcel's number.
    pub parcel_of: Option<Lsn>,
}

/// What a parcel says of itself: an object of a run whose rows did not pass the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParcelStamp {
    /// The node that runs it.
    pub node: NodeId,
    /// The run.
    pub run: Lsn,
    /// The number of the parcel in its run and partition; from 1.
    pub number: u64,
    /// A random number that is the same at each attempt.
    pub nonce: u128,
    /// The partition of the rows.
    pub partition: String,
    /// Number of rows.
    pub count: u64,
    /// Sum of the hashes of the rows modulo 2^128, as far as they were written as lines.
    pub row_hash: u128,
    /// CRC-32C of the object's bytes.
    pub crc: u32,
}

impl From<ParcelStamp> for Stamp {
    fn from(parcel: ParcelStamp) -> Self {
        Self {
            node: parcel.node,
            seal: 0,
            nonce: parcel.nonce,
            partition: parcel.partition,
            first_lsn: Lsn(parcel.number),
            last_lsn: Lsn(parcel.number),
            count: parcel.count,
            row_hash: parcel.row_hash,
            lsn_hash: 0,
            crc: parcel.crc,
            as_of: LogState::default(),
            erased: None,
            parcel_of: Some(parcel.run),
        }
    }
}

/// What was erased from an object, all erasures together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The id of the last erasure.
    pub erasure: u128,
    /// How many rows are gone; at least one.
    pub rows: u64,
    /// Sum of the hashes of their LSNs modulo 2^128.
    pub lsn_hash: u128,
}

/// The state of a node's log at the time of a seal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// The highest LSN.
    pub lsn: Lsn,
    /// Sum of the hashes of all LSNs up to there modulo 2^128.
    pub lsn_hash: u128,
    /// Rows in no seal yet.
    pub open: CountedLsns,
    /// Void LSNs: no row will ever have them.
    pub void: CountedLsns,
    /// Everything received before this time is in this seal or an earlier one; RFC 3339 in UTC.
    pub watermark: String,
    /// What was received so far, and what happened to it.
    pub totals: RunningTotals,
}

/// Number of some LSNs, and the sum of their hashes modulo 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountedLsns {
    /// Number of LSNs.
    pub count: u64,
    /// The sum of their hashes.
    pub hash: u128,
}

/// Counts of a log since it began: `received = stored + dropped + duplicate + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunningTotals {
    /// Events in requests that were accepted.
    pub received: u64,
    /// Records that were stored.
    pub stored: u64,
    /// Valid events that a rule dropped.
    pub dropped: u64,
    /// Events that were known already.
    pub duplicate: u64,
    /// Events of accepted requests that went to the quarantine.
    pub quarantined: u64,
    /// Copies of refused requests; not part of `received`.
    pub refused: u64,
}

/// Why metadata is not a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// It has no metadata of ours.
    #[error("it is foreign: it carries no metadata of lakehook")]
    Foreign,
    /// A name is missing.
    #[error("its metadata has no {0}")]
    Missing(&'static str),
    /// A value is not what it must be.
    #[error("its metadata {0} cannot be read")]
    Unreadable(&'static str),
}

impl Stamp {
    /// Encodes the stamp as metadata.
    pub fn to_metadata(&self) -> Metadata {
        let as_of = &self.as_of;
        let rows = [
            (NODE, self.node.to_string()),
            (NONCE, hex(self.nonce)),
            (PARTITION, self.partition.clone()),
            (FIRST_LSN, self.first_lsn.to_string()),
            (COUNT, self.count.to_string()),
            (ROW_HASH, hex(self.row_hash)),
            (CRC, format!("{:08x}", self.crc)),
        ];
        let erased = self.erased.map(|erased| {
            [
                (ERASURE, hex(erased.erasure)),
                (ERASED_ROWS, erased.rows.to_string()),
                (ERASED_LSN_HASH, hex(erased.lsn_hash)),
            ]
        });
        let own = rows.into_iter().chain(erased.into_iter().flatten());
        if let Some(run) = self.parcel_of {
            return metadata_of(own.chain([(RUN, run.to_string())]));
        }
        let of_log = [
            (SEAL, self.seal.to_string()),
            (LAST_LSN, self.last_lsn.to_string()),
            (LSN_HASH, hex(self.lsn_hash)),
            (AS_OF_LSN, as_of.lsn.to_string()),
            (AS_OF_LSN_HASH, hex(as_of.lsn_hash)),
            (AS_OF_OPEN, as_of.open.to_text()),
            (AS_OF_VOID, as_of.void.to_text()),
            (AS_OF_WATERMARK, as_of.watermark.clone()),
        ];
        let totals = as_of.totals.values().map(|total| total.to_string());
        let totals = TOTALS.into_iter().zip(totals);
        metadata_of(own.chain(of_log).chain(totals))
    }

    /// Decodes the stamp from the metadata of an object.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, StampError> {
        if !metadata.contains_key(NODE) {
            return Err(StampError::Foreign);
        }
        let names = Names(metadata);
        if metadata.contains_key(RUN) {
            return Self::of_parcel(&names);
        }
        let mut totals = [0; TOTALS.len()];
        for (total, name) in totals.iter_mut().zip(TOTALS) {
            *total = names.number(name)?;
        }
        Ok(Self {
            node: names.node()?,
            seal: names.read(SEAL, |text| text.parse().ok().filter(|seal| *seal > 0))?,
            nonce: names.hash(NONCE)?,
            partition: names.text(PARTITION)?.to_owned(),
            first_lsn: Lsn(names.number(FIRST_LSN)?),
            last_lsn: Lsn(names.number(LAST_LSN)?),
            count: names.number(COUNT)?,
            row_hash: names.hash(ROW_HASH)?,
            lsn_hash: names.hash(LSN_HASH)?,
            crc: names.crc()?,
            as_of: LogState {
                lsn: Lsn(names.number(AS_OF_LSN)?),
                lsn_hash: names.hash(AS_OF_LSN_HASH)?,
                open: names.read(AS_OF_OPEN, CountedLsns::parse)?,
                void: names.read(AS_OF_VOID, CountedLsns::parse)?,
                watermark: names.text(AS_OF_WATERMARK)?.to_owned(),
                totals: RunningTotals::of_values(totals),
            },
            erased: Erased::read(&names)?,
            parcel_of: None,
        })
    }

    fn of_parcel(names: &Names<'_>) -> Result<Self, StampError> {
        let parcel = ParcelStamp {
            node: names.node()?,
            run: Lsn(names.number(RUN)?),
            number: names.number(FIRST_LSN)?,
            nonce: names.hash(NONCE)?,
            partition: names.text(PARTITION)?.to_owned(),
            count: names.number(COUNT)?,
            row_hash: names.hash(ROW_HASH)?,
            crc: names.crc()?,
        };
        Ok(Self {
            erased: Erased::read(names)?,
            ..parcel.into()
        })
    }

    /// Whether the object with that key has this stamp in its place: the key must be the one that the stamp implies.
    pub fn is_at(&self, key: &str) -> bool {
        let folder = key.rsplit_once('/').map(|(folder, _)| folder);
        folder == Some(self.partition.as_str())
            && holder_of(key) == Some((self.node, self.first_lsn))
    }

    /// Whether both are stamps of the same rows, whatever was erased from them since.
    pub fn is_same_seal(&self, other: &Self) -> bool {
        let alike = Self {
            crc: self.crc,
            erased: self.erased,
            ..other.clone()
        };
        *self == alike
    }

    /// How many rows the object must have.
    pub fn rows_left(&self) -> u64 {
        let erased = self.erased.map_or(0, |erased| erased.rows);
        self.count.saturating_sub(erased)
    }

    /// What the hashes of the LSNs of the rows that it must have add up to.
    pub fn lsn_hash_left(&self) -> u128 {
        let erased = self.erased.map_or(0, |erased| erased.lsn_hash);
        self.lsn_hash.wrapping_sub(erased)
    }
}

impl Erased {
    /// `None` if nothing was erased; all of the names are there, or none.
    fn read(names: &Names<'_>) -> Result<Option<Self>, StampError> {
        let own = [ERASURE, ERASED_ROWS, ERASED_LSN_HASH];
        if !own.iter().any(|name| names.0.contains_key(*name)) {
            return Ok(None);
        }
        Ok(Some(Self {
            erasure: names.hash(ERASURE)?,
            rows: names.read(ERASED_ROWS, |text| {
                text.parse().ok().filter(|rows| *rows > 0)
            })?,
            lsn_hash: names.hash(ERASED_LSN_HASH)?,
        }))
    }
}

impl CountedLsns {
    fn to_text(self) -> String {
        format!("{} {}", self.count, hex(self.hash))
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, hash) = text.split_once(' ')?;
        Some(Self {
            count: count.parse().ok()?,
            hash: u128::from_str_radix(hash, 16).ok()?,
        })
    }
}

impl RunningTotals {
    /// The totals, in the order of [`TOTALS`].
    pub fn values(&self) -> [u64; TOTALS.len()] {
        [
            self.received,
            self.stored,
            self.dropped,
            self.duplicate,
            self.quarantined,
            self.refused,
        ]
    }

    fn of_values(values: [u64; TOTALS.len()]) -> Self {
        let [received, stored, dropped, duplicate, quarantined, refused] = values;
        Self {
            received,
            stored,
            dropped,
            duplicate,
            quarantined,
            refused,
        }
    }
}

/// The stamp of a small text object: a note, or the marker of a run. Only its nonce and its hash
/// are read again: they say whether the object is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStamp {
    /// The node that puts it.
    pub node: NodeId,
    /// The run whose marker it is.
    pub run: Option<Lsn>,
    /// A number that is the same at each attempt.
    pub nonce: u128,
    /// XXH3-128 of the text.
    pub text_hash: u128,
    /// CRC-32C of the text.
    pub crc: u32,
}

impl TextStamp {
    /// The stamp of a note: it depends only on node and text, so it is the same note however often
    /// it is put.
    pub fn of_note(node: NodeId, text: &[u8]) -> Self {
        let text_hash = xxh3_128(text);
        Self {
            node,
            run: None,
            nonce: text_hash,
            text_hash,
            crc: crc32c(text),
        }
    }

    /// The stamp of the marker of a run, with the nonce that the end of the run fixed.
    pub fn of_marker(node: NodeId, run: Lsn, nonce: u128, text: &[u8]) -> Self {
        Self {
            run: Some(run),
            nonce,
            ..Self::of_note(node, text)
        }
    }

    /// Encodes the stamp as metadata.
    pub fn to_metadata(&self) -> Metadata {
        let own = [
            (NODE, self.node.to_string()),
            (NONCE, hex(self.nonce)),
            (ROW_HASH, hex(self.text_hash)),
            (CRC, format!("{:08x}", self.crc)),
        ];
        let run = self.run.map(|run| (RUN, run.to_string()));
        metadata_of(own.into_iter().chain(run))
    }
}

/// Whether rows were erased from the object with that metadata.
pub fn is_erased(metadata: &Metadata) -> bool {
    metadata.contains_key(ERASURE)
}

/// Formats a hash or a nonce for metadata.
pub fn hex(value: u128) -> String {
    format!("{value:032x}")
}

fn metadata_of(pairs: impl Iterator<Item = (&'static str, String)>) -> Metadata {
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Reads values of metadata by name.
struct Names<'a>(&'a Metadata);

impl<'a> Names<'a> {
    fn text(&self, name: &'static str) -> Result<&'a str, StampError> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or(StampError::Missing(name))
    }

    fn read<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, StampError> {
        parse(self.text(name)?).ok_or(StampError::Unreadable(name))
    }

    fn number(&self, name: &'static str) -> Result<u64, StampError> {
        self.read(name, |text| text.parse().ok())
    }

    fn node(&self) -> Result<NodeId, StampError> {
        let node = self.read(NODE, |text| u64::from_str_radix(text, 16).ok())?;
        Ok(NodeId(node))
    }

    fn crc(&self) -> Result<u32, StampError> {
        self.read(CRC, |text| u32::from_str_radix(text, 16).ok())
    }

    fn hash(&self, name: &'static str) -> Result<u128, StampError> {
        self.read(name, |text| u128::from_str_radix(text, 16).ok())
    }
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
