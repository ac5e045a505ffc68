//! An id as it is remembered: 80 bits of its hash, and 48 of that of its record's content. Pure.

/// Bits of the hash of an id.
pub(crate) const ID_BITS: u32 = 80;
const CONTENT_BITS: u32 = 48;

/// An id and the content of its record. The order is that of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdEntry(u128);

impl IdEntry {
    /// Keeps what is kept of two hashes.
    pub(crate) fn new(id: u128, content: u128) -> Self {
        let content = content & ((1 << CONTENT_BITS) - 1);
        Self((id >> CONTENT_BITS << CONTENT_BITS) | content)
    }

    /// The part of the id.
    pub(crate) fn id(self) -> u128 {
        self.0 >> CONTENT_BITS
    }

    /// Its bytes in files, whose order is that of entries.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The entry with these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}
