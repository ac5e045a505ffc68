//! A request to erase, and the two notes of it in the lake: that it has begun, and that it is done.
//!
//! A note never holds the value, only an HMAC of it under a key that is not in the lake: user ids can be
//! guessed, so a plain hash would give them away.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::condition::{RowCondition, values_of};

/// The key of the HMACs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureKey(pub [u8; 32]);

impl fmt::Debug for ErasureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasureKey(..)")
    }
}

/// Bytes as hex digits.
pub(super) fn hex_of(bytes: &[u8]) -> String {
    let digits = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let pairs = bytes
        .iter()
        .flat_map(|byte| [digits(byte >> 4), digits(byte & 15)]);
    pairs.collect()
}

impl ErasureKey {
    fn hmac(&self, parts: &[&str]) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        let tag = mac.finalize().into_bytes();
        hex_of(&tag)
    }

    /// Tells keys apart.
    pub fn name(&self) -> String {
        self.hmac(&["name of the key"])[..16].to_owned()
    }

    /// Identifies what was asked, for those who have the key.
    pub fn sign(&self, stream: &str, field: &str, value: &str) -> String {
        self.hmac(&["erasure", stream, field, value])
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequest {
    /// 32 hex digits; also in the stamps of the objects that were rewritten.
    pub id: String,
    /// When it began, RFC 3339.
    pub at: String,
    /// The stream.
    pub stream: String,
    /// The field, with dots.
    pub field: String,
    /// HMAC-SHA-256 of stream, field and value.
    pub value_hmac: String,
    /// Which key made it.
    pub key: String,
    /// The node whose log was asked, and that goes on if the command ends early.
    pub node: Option<String>,
    /// By node: rows up to this LSN are erased.
    pub up_to_lsn: BTreeMap<String, u64>,
}

impl ErasureRequest {
    /// Whether it means that row of its stream; the key must be the one that it names.
    pub fn means(&self, row: &Map<String, Value>, key: &ErasureKey) -> bool {
        let is_it = |value: &str| key.sign(&self.stream, &self.field, value) == self.value_hmac;
        values_of(&self.field, row).iter().any(|value| is_it(value))
    }

    /// Whether it asks for the same.
    pub fn is_for(&self, stream: &str, condition: &RowCondition, key: &ErasureKey) -> bool {
        let field = condition.field();
        self.key == key.name()
            && self.stream == stream
            && self.field == field
            && self.value_hmac == key.sign(stream, &field, condition.value())
    }
}

/// That nothing is left of it. A note without the last three members is read too: where the key of a request is
/// lost for good, a copy of its first note ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureDone {
    /// What was asked.
    #[serde(flatten)]
    pub request: ErasureRequest,
    /// When it was done, RFC 3339.
    #[serde(default)]
    pub done_at: String,
    /// How many objects were rewritten.
    #[serde(default)]
    pub objects: u64,
    /// How many rows are gone.
    #[serde(default)]
    pub rows: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_request_is_recognised_only_with_its_key() {
        let (ours, other) = (ErasureKey([1; 32]), ErasureKey([2; 32]));
        let condition: RowCondition = "user_id=u-1".parse().unwrap();
        let request = ErasureRequest {
            id: "0".repeat(32),
            at: String::new(),
            stream: "events".to_owned(),
            field: "user_id".to_owned(),
            value_hmac: ours.sign("events", "user_id", "u-1"),
            key: ours.name(),
            node: None,
            up_to_lsn: BTreeMap::new(),
        };
        assert!(request.is_for("events", &condition, &ours));
        assert!(!request.is_for("events", &condition, &other));
        assert!(!request.is_for("users", &condition, &ours));
        let another = "user_id=u-2".parse().unwrap();
        assert!(!request.is_for("events", &another, &ours));
        let row =
            |user: &str| serde_json::from_value(serde_json::json!({"user_id": user})).unwrap();
        assert!(request.means(&row("u-1"), &ours));
        assert!(!request.means(&row("u-2"), &ours));
        assert_ne!(ours.sign("a", "bc", "d"), ours.sign("ab", "c", "d"));
        let text = serde_json::to_string(&request).unwrap();
        assert!(!text.contains("u-1"), "{text}");
    }
}
