//! What stands before each frame in the engine: where the frame belongs.
//!
//! A frame's own header chains it to the frame before. The envelope adds what the files of a local
//! journal say by their names and headers: which log, which segment, and who owned the log. So all
//! positions follow from what is in the engine. `docs/wal-format.md` has the bytes.

use crate::journal::frames::{At, Frame};
use crate::journal::layout::FrameHeader;
use lakehook_base::checksum::crc32c;
use lakehook_base::ids::NodeId;

/// Version of the envelope. A newer one is refused.
pub const ENVELOPE_FORMAT: u32 = 1;
const MAGIC: &[u8; 4] = b"LHRE";
/// Bytes before the numbers of fences and the owner's name.
const FIXED: usize = 84;
const WORD: usize = 8;
/// Most bytes of an owner's name.
const MAX_OWNER: usize = 255;

/// Where a frame belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The log.
    pub log: NodeId,
    /// Which owner appended the frame; each has a larger number than the one before.
    pub epoch: u64,
    /// The segment.
    pub segment: u64,
    /// Number of the segment's first frame.
    pub first: u64,
    /// Number of the first frame of the segment before; 0 if there is none.
    pub previous_first: u64,
    /// Number of the first frame of the epoch: its fence.
    pub fence: u64,
    /// Bytes of the frames before this one in its segment.
    pub offset: u64,
    /// In a fence, the numbers of all fences, itself included; otherwise empty.
    pub fences: Vec<u64>,
    /// In a fence, who took the log over, for messages; otherwise empty. At most 255 bytes count.
    pub owner: String,
}

/// Why an item is not a frame of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A newer program wrote it.
    #[error(
        "it has format {0}, and this program knows formats up to {ENVELOPE_FORMAT}: use a newer one"
    )]
    Newer(u32),
    /// The bytes are damaged, or are something else.
    #[error("it is not a whole frame of a log")]
    Invalid,
}

impl Envelope {
    /// The item: envelope and sealed frame.
    pub fn wrap(&self, frame: &[u8]) -> Vec<u8> {
        let owner = &self.owner.as_bytes()[..self.owner.floor_char_boundary(MAX_OWNER)];
        let length = FIXED + self.fences.len() * WORD + owner.len();
        let mut item = Vec::with_capacity(length + frame.len());
        item.extend_from_slice(MAGIC);
        item.extend_from_slice(&[0; 4]);
        item.extend_from_slice(&ENVELOPE_FORMAT.to_le_bytes());
        let words = [
            self.log.0,
            self.epoch,
            self.segment,
            self.first,
            self.previous_first,
            self.fence,
            self.offset,
            self.fences.len() as u64,
            owner.len() as u64,
        ];
        for word in words.iter().chain(&self.fences) {
            item.extend_from_slice(&word.to_le_bytes());
        }
        item.extend_from_slice(owner);
        let crc = crc32c(&item[8..]);
        item[4..8].copy_from_slice(&crc.to_le_bytes());
        item.extend_from_slice(frame);
        item
    }

    /// Reads what [`Envelope::wrap`] wrote; both checksums are verified.
    pub fn open(mut item: Vec<u8>) -> Result<(Self, Frame), EnvelopeError> {
        let (envelope, length) = Self::decode(&item)?;
        let bytes = item.split_off(length);
        let header = FrameHeader::decode(&bytes).ok_or(EnvelopeError::Invalid)?;
        if !header.matches(&bytes) {
            return Err(EnvelopeError::Invalid);
        }
        let at = At::new(envelope.segment, envelope.offset);
        Ok((envelope, Frame { header, at, bytes }))
    }

    /// The envelope, and its length.
    fn decode(item: &[u8]) -> Result<(Self, usize), EnvelopeError> {
        if !item.starts_with(MAGIC) {
            return Err(EnvelopeError::Invalid);
        }
        let small = |at: usize| {
            let bytes = item.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or(EnvelopeError::Invalid)
        };
        let word = |at: usize| {
            let bytes = item
                .get(at..at + WORD)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_le_bytes).ok_or(EnvelopeError::Invalid)
        };
        let format = small(8)?;
        if format > ENVELOPE_FORMAT {
            return Err(EnvelopeError::Newer(format));
        }
        let size = |at: usize| {
            let size = word(at)?;
            // Nothing in an item is larger than the item.
            usize::try_from(size)
                .ok()
                .filter(|size| *size <= item.len())
                .ok_or(EnvelopeError::Invalid)
        };
        let (count, owner) = (size(68)?, size(76)?);
        let names = FIXED + count * WORD;
        let length = names + owner;
        let covered = item.get(8..length).ok_or(EnvelopeError::Invalid)?;
        if crc32c(covered) != small(4)? {
            return Err(EnvelopeError::Invalid);
        }
        let fences = (0..count).map(|index| word(FIXED + index * WORD));
        let envelope = Self {
            log: NodeId(word(12)?),
            epoch: word(20)?,
            segment: word(28)?,
            first: word(36)?,
            previous_first: word(44)?,
            fence: word(52)?,
            offset: word(60)?,
            fences: fences.collect::<Result<_, _>>()?,
            owner: String::from_utf8_lossy(&item[names..length]).into_owned(),
        };
        Ok((envelope, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::frames::Heading;
    use crate::journal::layout::FRAME_HEADER;
    use lakehook_base::clock::Micros;
    use lakehook_base::record::Lsn;

    fn item() -> (Envelope, Vec<u8>) {
        let envelope = Envelope {
            log: NodeId(7),
            epoch: 3,
            segment: 5,
            first: 40,
            previous_first: 31,
            fence: 40,
            offset: 0,
            fences: vec![1, 22, 40],
            owner: "host-a".to_owned(),
        };
        let heading = Heading {
            first_lsn: Lsn(9),
            rows: 0,
            written_at: Micros(1),
        };
        let mut frame = vec![0; FRAME_HEADER];
        frame.extend_from_slice(b"body");
        heading.chained(11, 40, 12).seal(&mut frame);
        let item = envelope.wrap(&frame);
        (envelope, item)
    }

    #[test]
    fn a_frame_comes_back_with_its_envelope() {
        let (envelope, item) = item();
        let back = Envelope::open(item.clone()).map(|(back, frame)| {
            assert_eq!((frame.body(), frame.header.number), (&b"body"[..], 40));
            assert_eq!(frame.at, At::new(5, 0));
            back
        });
        assert_eq!(back, Ok(envelope));
        let page = include_str!("../../../../../docs/wal-format.md");
        for line in hex(&item[..FIXED + 3 * WORD + 6]).lines() {
            assert!(page.contains(line), "docs/wal-format.md must have {line}");
        }
    }

    #[test]
    fn any_damage_to_an_item_is_found() {
        let (_, item) = item();
        for at in 0..item.len() {
            let mut damaged = item.clone();
            damaged[at] ^= 4;
            assert!(Envelope::open(damaged).is_err(), "byte {at}");
            assert!(Envelope::open(item[..at].to_vec()).is_err(), "cut at {at}");
        }
    }

    /// The bytes as `docs/wal-format.md` shows them.
    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (index, row) in bytes.chunks(16).enumerate() {
            let _infallible = write!(text, "{:04x} ", index * 16);
            for byte in row {
                let _infallible = write!(text, " {byte:02x}");
            }
            text.push('\n');
        }
        text
    }
}
