//! What a directory lake says of an object: a file beside it, under `_lakehook/meta/`.

use serde::{Deserialize, Serialize};

use super::object::{Found, Metadata, Object};
use super::stamp::{NONCE, ROW_HASH, RUN, SEAL};

/// What is said of an object, in a file beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    #[serde(flatten)]
    pub(super) claims: Claims,
    /// While the object is being replaced: what is said of the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Claims>,
}

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) bytes: u64,
    pub(crate) crc32c: String,
    pub(crate) metadata: Metadata,
}

impl Claims {
    pub(super) fn of(object: &Object) -> Self {
        Self {
            bytes: object.bytes,
            crc32c: format!("{:08x}", object.crc),
            metadata: object.metadata.clone(),
        }
    }

    fn crc(&self) -> u32 {
        u32::from_str_radix(&self.crc32c, 16).unwrap_or(0)
    }

    pub(super) fn found(&self) -> Found {
        Found {
            bytes: self.bytes,
            crc: self.crc(),
        }
    }

    /// Whether both are claims of one batch, whichever version of the program has written its object.
    pub(super) fn is_same_batch(&self, other: &Self) -> bool {
        [NONCE, ROW_HASH]
            .iter()
            .all(|name| self.metadata.get(*name) == other.metadata.get(*name))
    }

    /// Whether the object is a note: it holds no rows, and publishes none.
    pub(super) fn is_note(&self) -> bool {
        ![SEAL, RUN]
            .iter()
            .any(|name| self.metadata.contains_key(*name))
    }

    pub(super) fn says(&self, name: &str, value: &str) -> bool {
        self.metadata.get(name).is_some_and(|v| v == value)
    }
}

impl Sidecar {
    pub(super) fn of(claims: Claims) -> Self {
        Self { claims, next: None }
    }

    /// The claims of an object of that length. While there are two, `crc` computes its checksum, which decides.
    pub(crate) fn claims_for<E>(
        &self,
        bytes: u64,
        crc: impl FnOnce() -> Result<u32, E>,
    ) -> Result<&Claims, E> {
        Ok(match &self.next {
            Some(next) if next.bytes == bytes && crc()? == next.crc() => next,
            _ => &self.claims,
        })
    }
}
