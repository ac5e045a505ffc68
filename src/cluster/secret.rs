//! The secret that the nodes of a cluster share. It is never sent and never printed.

use std::fmt;

use crate::signature::{Algorithm, Encoding, SigningKey};

/// A shorter secret could be guessed.
const MIN_BYTES: usize = 16;

/// The secret that the nodes of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret(SigningKey);

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret of a cluster has at least {MIN_BYTES} bytes; make one with `openssl rand -hex 32`"
)]
pub struct WeakSecret;

impl ClusterSecret {
    /// The secret with these bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, WeakSecret> {
        if bytes.len() < MIN_BYTES {
            return Err(WeakSecret);
        }
        let key = Algorithm::HmacSha256.key(bytes).ok_or(WeakSecret)?;
        Ok(Self(key))
    }

    /// The HMAC-SHA256 of some bytes, in hexadecimal.
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        // Only a public key has none.
        let mac = self.0.digest(bytes).unwrap_or_default();
        Encoding::Hex.encode(&mac)
    }

    /// Whether this is the HMAC of these bytes. Takes the same time wherever they differ.
    pub(super) fn verifies(&self, bytes: &[u8], mac: &str) -> bool {
        let mac = Encoding::Hex.decode(mac);
        mac.is_some_and(|mac| self.0.verifies(bytes, &mac))
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_signs_and_is_not_printed() -> Result<(), WeakSecret> {
        let (one, other) = (
            ClusterSecret::new(b"sixteen bytes ab")?,
            ClusterSecret::new(b"sixteen bytes ac")?,
        );
        let mac = one.sign(b"rows");
        assert_eq!(mac.len(), 64);
        assert!(one.verifies(b"rows", &mac));
        assert!(!one.verifies(b"rowz", &mac));
        assert!(!other.verifies(b"rows", &mac));
        for wrong in ["", "zz", &mac[2..], &format!("{mac}00"), &"0".repeat(4000)] {
            assert!(!one.verifies(b"rows", wrong));
        }
        assert_eq!(format!("{one:?}"), "[secret]");
        Ok(())
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(
            ClusterSecret::new(b"fifteen bytes a").err(),
            Some(WeakSecret)
        );
    }
}
