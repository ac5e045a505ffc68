//! Rows of the quarantine for records of files that the feed itself refuses.

use super::entity::{Entities, MAX_REFUSED_BYTES};
use crate::quarantine::{FieldError, Reason, RecordPlace, Refused};
use lakehook_base::record::{Origin, RowKind, Rows};

/// A record of a file, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct RefusedPart<'a> {
    /// Why it is refused.
    pub reason: Reason,
    /// What is wrong with it.
    pub error: &'a FieldError,
    /// Where it is.
    pub place: RecordPlace<'a>,
    /// Its bytes, or the first of them.
    pub first: &'a [u8],
    /// The length of all of it.
    pub bytes: u64,
    /// The hash of all of it.
    pub hash: u128,
}

impl Entities {
    /// Adds a row of the quarantine.
    pub fn refuse_part(
        &self,
        part: RefusedPart<'_>,
        origin: &Origin,
        quarantine: &str,
        rows: &mut Rows,
    ) {
        // The first bytes may be cut within a character.
        let whole = std::str::from_utf8(part.first);
        let whole = whole.map_or_else(|error| error.valid_up_to(), str::len);
        let is_cut = (part.first.len() as u64) < part.bytes;
        let raw = match whole {
            0 => part.first,
            whole if is_cut => &part.first[..whole],
            _ => part.first,
        };
        let refused = Refused {
            reason: part.reason,
            stream: &self.stream,
            origin,
            errors: std::slice::from_ref(part.error),
            errors_total: 1,
            raw,
            max_raw_bytes: MAX_REFUSED_BYTES,
            hook: None,
            place: Some(part.place),
        };
        let lsn_at = refused.write_whole(part.bytes, part.hash, &mut rows.bytes);
        let partition = rows.partition(quarantine);
        rows.finish_row(lsn_at, partition, RowKind::Quarantined);
    }
}
