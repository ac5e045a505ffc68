//! Probes what a store can do, by harmless puts: whether it honours conditions, which checksum it
//! takes, whether it refuses a body that does not match its checksum, and what it says of stored
//! bytes.
//!
//! The probes are small objects of fixed content under `_lakehook/`, so any number of nodes can put
//! them at once, and at every start.

use super::errors::{LakeError, Trouble};
use super::keys;
use super::object::Metadata;
use super::proof::{Protection, is_md5, md5_of};
use super::store::{Body, BodyCheck, Condition, Evidence, ObjectStore, Put, PutAnswer};
use lakehook_base::checksum::crc32c;

/// Which checksum a put carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckKind {
    Crc32c,
    Md5,
    Absent,
}

impl CheckKind {
    /// Checksums in the order in which they are tried when a store refuses a put.
    pub(super) const ALL: [Self; 3] = [Self::Crc32c, Self::Md5, Self::Absent];
}

/// What a store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Whether it honours `If-None-Match: *`.
    pub(super) conditions: bool,
    /// The checksum that it accepts.
    pub(super) check: CheckKind,
    /// What protects a body on its way to the store.
    pub(super) protection: Protection,
    /// Whether the CRC-32C that it names is computed from the stored bytes, not repeated from the
    /// request.
    pub(super) crc_is_computed: bool,
}

/// The condition of a put of a new object, in a store that honours conditions or does not.
pub(super) fn first_put(conditions: bool) -> Condition<'static> {
    if conditions {
        Condition::IfAbsent
    } else {
        Condition::Always
    }
}

const PROBE: &[u8] = b"lakehook checks with this object whether puts can be conditional\n";
const IF_MATCH_PROBE: &[u8] = b"lakehook checks with this object whether If-Match is honoured\n";
const CHECK_PROBE: &[u8] = b"lakehook checks with this object whether checksums are compared\n";

/// Probes what a store can do.
pub(super) fn probe(store: &dyn ObjectStore) -> Result<Abilities, LakeError> {
    let taken = first_taken(store)?;
    let conditions = taken.condition == Condition::IfAbsent && is_conditional(store, &taken)?;
    let probes = Probes {
        store,
        condition: first_put(conditions),
    };
    let (check, protection, crc_is_computed) = probes.protection(taken.check)?;
    Ok(Abilities {
        conditions,
        check,
        protection,
        crc_is_computed,
    })
}

/// The first kind of put that a store did not refuse, and its answer.
struct Taken {
    condition: Condition<'static>,
    check: CheckKind,
    answer: PutAnswer,
}

/// Tries puts with and without a condition, with each checksum and with none, until the store
/// accepts one. A store that refuses all of them has another reason, which the error quotes.
fn first_taken(store: &dyn ObjectStore) -> Result<Taken, LakeError> {
    let mut words = String::new();
    for condition in [Condition::IfAbsent, Condition::Always] {
        for check in CheckKind::ALL {
            match put(
                store,
                &keys::probe_key(),
                PROBE,
                check_of(check, PROBE),
                condition,
            )? {
                PutAnswer::Refused(said) | PutAnswer::Damaged(said) => words = said,
                answer => {
                    return Ok(Taken {
                        condition,
                        check,
                        answer,
                    });
                }
            }
        }
    }
    Err(LakeError::Retry {
        kind: Trouble::Refused,
        message: format!("the store refuses every put, with and without a condition: {words}"),
    })
}

/// Whether the second of two conditional puts of one key finds the key taken.
fn is_conditional(store: &dyn ObjectStore, first: &Taken) -> Result<bool, LakeError> {
    let again = || {
        let check = check_of(first.check, PROBE);
        put(store, &keys::probe_key(), PROBE, check, first.condition)
    };
    Ok(match first.answer {
        PutAnswer::ConditionFailed => true,
        _ => again()? == PutAnswer::ConditionFailed,
    })
}

struct Probes<'a> {
    store: &'a dyn ObjectStore,
    condition: Condition<'static>,
}

impl Probes<'_> {
    /// Decides which checksum to send, what protects bodies, and whether the store computes the
    /// CRC-32C that it names.
    fn protection(&self, taken: CheckKind) -> Result<(CheckKind, Protection, bool), LakeError> {
        if taken == CheckKind::Crc32c && self.refuses_damage(CheckKind::Crc32c)? {
            return Ok((CheckKind::Crc32c, Protection::Crc32c, true));
        }
        if taken != CheckKind::Absent && self.refuses_damage(CheckKind::Md5)? {
            return Ok((CheckKind::Md5, Protection::Md5, false));
        }
        // Without a comparison, a Content-MD5 may come back as the ETag, so none is sent.
        let check = match taken {
            CheckKind::Crc32c => CheckKind::Crc32c,
            CheckKind::Md5 | CheckKind::Absent => CheckKind::Absent,
        };
        let evidence = self.evidence_of_wrong(check)?;
        let named = evidence.crc == Some(crc32c(CHECK_PROBE));
        let md5 = md5_of(CHECK_PROBE).unwrap_or_default();
        let tagged = evidence.etag.is_some_and(|etag| is_md5(&etag, md5));
        let protection = match (named, tagged) {
            (true, _) => Protection::NamedCrc32c,
            (false, true) => Protection::Etag,
            (false, false) => Protection::ReadBack,
        };
        Ok((check, protection, named))
    }

    /// Whether a put with a checksum of other bytes is refused.
    fn refuses_damage(&self, kind: CheckKind) -> Result<bool, LakeError> {
        Ok(matches!(self.put_wrong(kind)?, PutAnswer::Damaged(_)))
    }

    fn put_wrong(&self, kind: CheckKind) -> Result<PutAnswer, LakeError> {
        let wrong = check_of(kind, PROBE);
        let key = keys::check_probe_key(kind == CheckKind::Md5);
        put(self.store, &key, CHECK_PROBE, wrong, self.condition)
    }

    /// What the store says of an object that was sent with a wrong checksum.
    fn evidence_of_wrong(&self, kind: CheckKind) -> Result<Evidence, LakeError> {
        self.put_wrong(kind)?;
        let head = self.store.head(&keys::check_probe_key(false))?;
        Ok(head.unwrap_or_default().evidence)
    }
}

/// How often the probe of `If-Match` is tried: nodes that probe at the same time disturb each other where
/// a put of the same bytes changes the `ETag`.
const IF_MATCH_TRIES: u32 = 5;

/// Whether a store honours `If-Match`: a put over an `ETag` that is not there must be refused, and one over the
/// right `ETag` taken.
pub(super) fn honours_if_match(store: &dyn ObjectStore) -> Result<bool, LakeError> {
    const NO_ETAG: &str = "00000000000000000000000000000000";
    let key = keys::if_match_probe_key();
    let put_with = |check: CheckKind, condition: Condition<'_>| {
        let check = check_of(check, IF_MATCH_PROBE);
        put(store, &key, IF_MATCH_PROBE, check, condition)
    };
    let mut taken = None;
    for check in CheckKind::ALL {
        if let PutAnswer::Stored(_) = put_with(check, Condition::Always)? {
            taken = Some(check);
            break;
        }
    }
    let Some(check) = taken else {
        return Ok(false);
    };
    let put_if = |condition: Condition<'_>| put_with(check, condition);
    if put_if(Condition::IfMatch(NO_ETAG))? != PutAnswer::ConditionFailed {
        return Ok(false);
    }
    for _ in 0..IF_MATCH_TRIES {
        let head = store.head(&key)?.unwrap_or_default();
        let Some(etag) = head.evidence.etag else {
            return Ok(false);
        };
        match put_if(Condition::IfMatch(&etag))? {
            PutAnswer::Stored(_) => return Ok(true),
            PutAnswer::ConditionFailed => {}
            PutAnswer::Damaged(_) | PutAnswer::Refused(_) => return Ok(false),
        }
    }
    Ok(false)
}

pub(super) fn check_of(kind: CheckKind, bytes: &[u8]) -> BodyCheck {
    match kind {
        CheckKind::Crc32c => BodyCheck::Crc32c(crc32c(bytes)),
        // Reading from memory does not fail.
        CheckKind::Md5 => BodyCheck::Md5(md5_of(bytes).unwrap_or_default()),
        CheckKind::Absent => BodyCheck::Absent,
    }
}

fn put(
    store: &dyn ObjectStore,
    key: &str,
    body: &'static [u8],
    check: BodyCheck,
    condition: Condition<'_>,
) -> Result<PutAnswer, LakeError> {
    Ok(store.put(&Put {
        key,
        body: Body::Bytes(body),
        check,
        content_type: "text/plain",
        metadata: &Metadata::new(),
        condition,
    })?)
}
