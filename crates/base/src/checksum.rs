//! CRC-32C (Castagnoli), the checksum of everything that this program writes: frames, segments and
//! id files of the log, and objects of the lake. Object stores compute the same one.

/// The CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    // The low half of the result holds a 32-bit checksum.
    (crc & u64::from(u32::MAX)) as u32
}

/// The CRC-32C of bytes that come in parts.
#[derive(Clone, Debug)]
pub struct Crc32c(crc_fast::Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    /// Adds the next part.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all parts so far.
    pub fn value(&self) -> u32 {
        (self.0.finalize() & u64::from(u32::MAX)) as u32
    }
}

/// The CRC-32C of two byte strings, one behind the other, from those of either and from the length of
/// the second.
pub fn combined(first: u32, second: u32, second_bytes: u64) -> u32 {
    let crc = crc_fast::checksum_combine(
        crc_fast::CrcAlgorithm::Crc32Iscsi,
        u64::from(first),
        u64::from(second),
        second_bytes,
    );
    (crc & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C and a test vector of RFC 3720, B.4.
    #[test]
    fn it_is_the_castagnoli_checksum() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn it_follows_from_those_of_the_parts() {
        let whole: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for at in [0, 1, 7, 4096, 99_999, 100_000] {
            let (first, second) = whole.split_at(at);
            let combined = combined(crc32c(first), crc32c(second), second.len() as u64);
            assert_eq!(combined, crc32c(&whole), "cut at {at}");
            let mut parts = Crc32c::default();
            parts.update(first);
            parts.update(second);
            assert_eq!(parts.value(), crc32c(&whole));
        }
    }
}
