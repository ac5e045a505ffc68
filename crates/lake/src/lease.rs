//! The lease of a store: keeps runs that change objects away from each other.
//!
//! It saves work and protects nothing, since each exchange of an object has its own condition. So an expiry
//! by the clocks of two machines is good enough.

use serde::{Deserialize, Serialize};

use super::conditional::{StoreLake, again, damaged, refused};
use super::errors::LakeError;
use super::keys::lease_key;
use super::notes::text_object;
use super::stamp::TextStamp;
use super::store::{Condition, PutAnswer};
use lakehook_base::clock::Micros;
use lakehook_base::files::{Files, remove_if_there};
use lakehook_base::ids::NodeId;

/// Who has the lease, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// The node whose log the run holds meanwhile; two runs of one node exclude each other by that.
    pub node: String,
    /// A random number of the run.
    pub run: String,
    /// Microseconds since 1970.
    pub until: i64,
}

/// What became of an attempt to take or renew the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// It is ours.
    Held,
    /// Somebody else has it.
    HeldBy(LeaseHolder),
}

/// Runs that begin at the same time disturb each other this often at most.
const MAX_TRIES: u32 = 5;

impl<F: Files> StoreLake<F> {
    /// Takes the lease if it is free, has expired, or is of a run of the same node; renews it if it is ours. After
    /// an error, ask again.
    pub fn lease(
        &self,
        ours: &LeaseHolder,
        node: NodeId,
        now: Micros,
    ) -> Result<LeaseAnswer, LakeError> {
        for _ in 0..MAX_TRIES {
            let head = self.store.head(&lease_key())?;
            let holder = self.holder()?;
            if let Some(theirs) = holder.filter(|theirs| theirs.until > now.0)
                && theirs.run != ours.run
                && theirs.node != ours.node
            {
                return Ok(LeaseAnswer::HeldBy(theirs));
            }
            let etag = head.and_then(|head| head.evidence.etag);
            let condition = etag
                .as_deref()
                .map_or(Condition::IfAbsent, Condition::IfMatch);
            self.write_lease(ours, node, condition)?;
            // Whatever the put was answered: what is there now counts.
            if self.holder()?.as_ref() == Some(ours) {
                return Ok(LeaseAnswer::Held);
            }
        }
        Err(again("the lease changes all the time"))
    }

    /// What cannot be read is nobody's.
    fn holder(&self) -> Result<Option<LeaseHolder>, LakeError> {
        let mut text = Vec::new();
        let is_there = self.store.get(&lease_key(), &mut text)?;
        Ok(serde_json::from_slice(&text).ok().filter(|_| is_there))
    }

    fn write_lease(
        &self,
        ours: &LeaseHolder,
        node: NodeId,
        condition: Condition<'_>,
    ) -> Result<(), LakeError> {
        let text = serde_json::to_vec(ours).map_err(|error| again(&error.to_string()))?;
        let spool = self.spool_dir().join(format!("lease-{}.part", ours.run));
        let stamp = TextStamp::of_note(node, &text);
        let object = text_object(&self.files, spool, lease_key(), &text, &stamp)
            .map_err(|error| again(&format!("failed to write the lease: {error}")))?;
        let answer = self.send(&object, condition);
        let _left_for_the_next_start = remove_if_there(&self.files, &object.spool);
        match answer? {
            PutAnswer::Stored(_) | PutAnswer::ConditionFailed => Ok(()),
            PutAnswer::Damaged(words) => Err(damaged(&words)),
            PutAnswer::Refused(words) => Err(refused(&words)),
        }
    }
}
