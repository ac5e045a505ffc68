//! CRC-32C (Castagnoli), the checksum of everything that this program writes: frames, segments and
//! id files of the log, and objects of the lake. Object stores compute the same one.

/// The CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    // The low half of the result holds a 32-bit checksum.
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
}
