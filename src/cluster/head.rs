//! What a request and an answer carry in one header: who asks what, and the proof that the sender knows the secret.
//!
//! ```text
//! lakehook-request: <form> <index> <log> <epoch> <configuration> <time> <nonce> <hash of the body> <HMAC>
//! lakehook-answer: <HMAC>
//! ```
//!
//! The HMAC of a request is over the method, the path and the header up to itself. So the head alone shows whether the
//! sender knows the secret, and the hash in it vouches for the body: a stranger's body is never read. In every version the
//! first word is the version of the form, and the last one the HMAC.
//!
//! The HMAC of an answer is over the request's nonce, the status and the body. An answer to a request that was not
//! authentic has none: who does not know the secret gets nothing signed.

use std::fmt::Write as _;

use super::secret::ClusterSecret;
use super::target::Target;
use crate::clock::Micros;
use crate::ids::NodeId;
use crate::signature::Encoding;

/// Version of everything that nodes say to each other. A node answers another version by naming its own.
pub(super) const FORM: u64 = 1;
pub(super) const APPEND: (&str, &str) = ("POST", "/internal/append");
pub(super) const RESERVE: (&str, &str) = ("POST", "/internal/reserve");
pub(super) const FILL: (&str, &str) = ("POST", "/internal/fill");
pub(super) const FLUSH: (&str, &str) = ("POST", "/internal/flush");
pub(super) const HAND_OVER: (&str, &str) = ("POST", "/internal/hand-over");
pub(super) const ALIVE: (&str, &str) = ("GET", "/internal/alive");
pub(super) const REQUEST_HEADER: &str = "lakehook-request";
pub(super) const ANSWER_HEADER: &str = "lakehook-answer";

/// SHA-256 of a body.
pub(super) type BodyHash = [u8; 32];

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) target: Target,
    pub(super) time: Micros,
    pub(super) nonce: u128,
    pub(super) body: BodyHash,
}

/// Why the head of an authentic request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is of another version.
    Form,
    /// It is malformed.
    Malformed,
}

impl Head {
    /// The value of the header.
    pub(super) fn sign(&self, secret: &ClusterSecret, ask: (&str, &str)) -> String {
        let Target {
            index,
            log,
            epoch,
            configuration,
        } = self.target;
        let mut text = format!(
            "{FORM} {index} {log} {epoch} {configuration:032x} {} {:032x} {}",
            self.time.0,
            self.nonce,
            Encoding::Hex.encode(&self.body)
        );
        let mac = secret.sign(&signed(ask, &text));
        let _memory_takes_it = write!(text, " {mac}");
        text
    }

    /// Reads what [`authentic`] returned.
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        let mut words = text.split(' ');
        let form = words.next().and_then(|word| word.parse().ok());
        match form {
            Some(FORM) => Self::read_words(words).ok_or(Unreadable::Malformed),
            Some(_) => Err(Unreadable::Form),
            None => Err(Unreadable::Malformed),
        }
    }

    fn read_words<'t>(mut words: impl Iterator<Item = &'t str>) -> Option<Self> {
        let target = Target {
            index: words.next()?.parse().ok()?,
            log: NodeId(u64::from_str_radix(words.next()?, 16).ok()?),
            epoch: words.next()?.parse().ok()?,
            configuration: u128::from_str_radix(words.next()?, 16).ok()?,
        };
        let head = Self {
            target,
            time: Micros(words.next()?.parse().ok()?),
            nonce: u128::from_str_radix(words.next()?, 16).ok()?,
            body: Encoding::Hex.decode(words.next()?)?.try_into().ok()?,
        };
        // Words that a later version of this form adds are ignored.
        Some(head)
    }
}

/// The nonce of a head of any version that has one at this place; an answer is bound to it.
pub(super) fn nonce_of(text: &str) -> Option<u128> {
    let word = text.split(' ').nth(6)?;
    u128::from_str_radix(word, 16).ok()
}

/// The header without its HMAC, if that is one with the secret.
pub(super) fn authentic<'h>(
    secret: &ClusterSecret,
    ask: (&str, &str),
    header: &'h str,
) -> Option<&'h str> {
    let (text, mac) = header.rsplit_once(' ')?;
    secret.verifies(&signed(ask, text), mac).then_some(text)
}

fn signed((method, path): (&str, &str), text: &str) -> Vec<u8> {
    format!("lakehook request\n{method}\n{path}\n{text}").into_bytes()
}

/// The proof that an answer is that of a node with the secret to the request with this nonce.
pub(super) fn sign_answer(secret: &ClusterSecret, nonce: u128, status: u16, body: &[u8]) -> String {
    secret.sign(&signed_answer(nonce, status, body))
}

/// Whether the proof holds.
pub(super) fn is_answer(
    secret: &ClusterSecret,
    nonce: u128,
    (status, body): (u16, &[u8]),
    mac: &str,
) -> bool {
    secret.verifies(&signed_answer(nonce, status, body), mac)
}

fn signed_answer(nonce: u128, status: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("lakehook answer\n{nonce:032x}\n{status}\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            target: Target {
                index: 3,
                log: NodeId(0xabc),
                epoch: 17,
                configuration: 1 << 100,
            },
            time: Micros(1_795_176_000_000_000),
            nonce: 42,
            body: [9; 32],
        }
    }

    fn secret() -> ClusterSecret {
        ClusterSecret::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_was_signed() {
        let header = head().sign(&secret(), APPEND);
        let text = authentic(&secret(), APPEND, &header).unwrap();
        assert_eq!(Head::read(text), Ok(head()));
        assert_eq!(nonce_of(text), Some(42));
        assert_eq!(authentic(&secret(), ALIVE, &header), None);
        let other = ClusterSecret::new(&[8; 32]).unwrap();
        assert_eq!(authentic(&other, APPEND, &header), None);
    }

    #[test]
    fn no_change_of_a_head_is_authentic() {
        let header = head().sign(&secret(), APPEND);
        for at in 0..header.len() {
            for byte in [b' ', b'0', b'1', b'f', b'+'] {
                let mut changed = header.clone().into_bytes();
                if changed[at] == byte {
                    continue;
                }
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(authentic(&secret(), APPEND, &changed), None, "{changed}");
            }
            assert_eq!(authentic(&secret(), APPEND, &header[..at]), None);
        }
    }

    #[test]
    fn another_version_is_told_from_nonsense() {
        let header = head().sign(&secret(), APPEND);
        let (text, _mac) = header.rsplit_once(' ').unwrap();
        let later = format!("{text} another word");
        assert_eq!(Head::read(&later), Ok(head()));
        let next = text.replacen('1', "2", 1);
        assert_eq!(Head::read(&next), Err(Unreadable::Form));
        assert_eq!(Head::read(""), Err(Unreadable::Malformed));
        let (short, _hash) = text.rsplit_once(' ').unwrap();
        assert_eq!(Head::read(short), Err(Unreadable::Malformed));
    }

    #[test]
    fn an_answer_belongs_to_one_request_and_status() {
        let mac = sign_answer(&secret(), 42, 200, b"stored");
        assert!(is_answer(&secret(), 42, (200, b"stored"), &mac));
        assert!(!is_answer(&secret(), 43, (200, b"stored"), &mac));
        assert!(!is_answer(&secret(), 42, (503, b"stored"), &mac));
        assert!(!is_answer(&secret(), 42, (200, b"storee"), &mac));
    }
}
