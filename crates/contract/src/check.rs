//! How a body passes through the contract: the fast pass first, and if that gives up, the slow pass.

use super::checked::{Checked, Refusal};
use super::terms::Contract;
use super::{fast, slow};
use lakehook_base::record::Origin;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Contract {
    /// Checks the body of a request. Takes time linear in its length, whatever it holds.
    pub fn check(&self, body: &[u8], origin: &Origin) -> Result<Checked, Refusal> {
        let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let mark_bytes = body.len() - text.len();
        let text = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(&body[..mark_bytes + error.valid_up_to()])),
        };
        if let Some(checked) = fast::check(self, text, origin) {
            return Ok(checked);
        }
        slow::check(self, text, origin).map_err(|refusal| behind_mark(refusal, mark_bytes))
    }
}

/// The refusal of a body that is not UTF-8: `valid` are its bytes before the first invalid one.
pub(super) fn not_utf8(valid: &[u8]) -> Refusal {
    let line_start = memchr::memrchr(b'\n', valid).map_or(0, |end| end + 1);
    Refusal::Syntax {
        line: memchr::memchr_iter(b'\n', valid).count() + 1,
        column: valid.len() - line_start + 1,
        detail: "not UTF-8".to_owned(),
    }
}

/// Counts the column from the beginning of the body, byte order mark included.
pub(super) fn behind_mark(mut refusal: Refusal, mark_bytes: usize) -> Refusal {
    if let Refusal::Syntax {
        line: 1, column, ..
    } = &mut refusal
    {
        *column += mark_bytes;
    }
    refusal
}
