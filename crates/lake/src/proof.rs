//! Proofs that a store holds the bytes that it was sent.
//!
//! A commit allows the log to remove the rows, so a status is not enough: the store must have named
//! a checksum that we computed ourselves. Proofs, the cheapest first:
//!
//! | what the store says | proof |
//! |---|---|
//! | the CRC-32C of what it holds, in its answer or to a HEAD | it is ours, or the object is damaged |
//! | an ETag that is the MD5 of our bytes | yes; another ETag proves nothing (with KMS it is no MD5) |
//! | it refuses bodies that do not match their checksum, took this one, has our nonce and size | yes |
//! | none of these | the object is read back once and its CRC-32C computed |

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::object::{Found, Object};
use super::store::Evidence;
use lakehook_base::files::{File, Files, Reader};

/// Bytes of an object that are read or written at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// What protects a body on its way into the store; probes decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The store checks the CRC-32C that each put carries.
    Crc32c,
    /// The store checks the `Content-MD5` that each put carries.
    Md5,
    /// The store checks nothing, but it names the CRC-32C of what it holds.
    NamedCrc32c,
    /// The store checks nothing, but its ETag is the MD5 of what it holds.
    Etag,
    /// Nothing: each object is read back once before its batch is committed.
    ReadBack,
}

impl Protection {
    /// Describes the protection for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crc32c => "the store checks the CRC-32C of each put",
            Self::Md5 => "the store checks the Content-MD5 of each put",
            Self::NamedCrc32c => "the CRC-32C that the store answers is compared",
            Self::Etag => "the ETag that the store answers is compared",
            Self::ReadBack => "each object is read back and compared",
        }
    }

    /// Whether the store refuses a body that was damaged on its way.
    pub(crate) fn refuses_damage(self) -> bool {
        matches!(self, Self::Crc32c | Self::Md5)
    }
}

/// Conclusion from what a store says of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The store holds these bytes.
    Proven,
    /// The store holds something else.
    Damaged,
    /// Not known yet.
    Open,
}

/// Compares the CRC-32C that a store names with ours.
pub(crate) fn compare_crc(evidence: &Evidence, crc: u32) -> Verdict {
    match evidence.crc {
        Some(theirs) if theirs == crc => Verdict::Proven,
        Some(_) => Verdict::Damaged,
        None => Verdict::Open,
    }
}

/// Whether an ETag has the form of an MD5.
pub(crate) fn may_be_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether an ETag is the given MD5.
pub(crate) fn is_md5(etag: &str, md5: [u8; 16]) -> bool {
    etag.eq_ignore_ascii_case(&format!("{:032x}", u128::from_be_bytes(md5)))
}

/// Reads the bytes of an object, wherever they are.
pub(crate) fn open<F: Files>(files: &F, object: &Object) -> io::Result<Box<dyn Read + Send>> {
    match &object.assembled {
        Some(assembled) => Ok(Arc::clone(assembled).open()),
        None => {
            let file = Reader::new(files.open(&object.spool)?)?;
            Ok(Box::new(BufReader::with_capacity(PIECE_BYTES, file)))
        }
    }
}

/// MD5 of everything that can be read.
pub(crate) fn md5_of(mut from: impl Read) -> io::Result<[u8; 16]> {
    let mut digest = Md5::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Size and CRC-32C of a file, which is read piece by piece.
pub fn measure(file: impl File) -> io::Result<Found> {
    let mut measure = Measure::new();
    let mut reader = BufReader::with_capacity(PIECE_BYTES, Reader::new(file)?);
    io::copy(&mut reader, &mut measure)?;
    Ok(Found {
        bytes: measure.bytes(),
        crc: measure.crc(),
    })
}

/// Measures the size and the CRC-32C of what is written, and keeps nothing.
pub(crate) struct Measure {
    digest: crc_fast::Digest,
    bytes: u64,
}

impl Measure {
    pub(crate) fn new() -> Self {
        Self {
            digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
            bytes: 0,
        }
    }

    /// Number of bytes written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// CRC-32C of the bytes written.
    pub(crate) fn crc(&self) -> u32 {
        // A 32-bit checksum comes in the low half.
        (self.digest.finalize() & u64::from(u32::MAX)) as u32
    }
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
