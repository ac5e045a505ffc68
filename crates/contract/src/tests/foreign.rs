//! Rows of webhooks of providers: what identifies them.

use lakehook_base::record::{Identity, RowKind, Rows};

use super::*;
use crate::foreign::{Envelope, Ignored};

/// That of [`EVENT`].
const ID: &str = "0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50";

fn identities(rows: &Rows) -> Vec<Identity> {
    let kinds = rows.rows.iter().map(|row| row.kind);
    kinds
        .map(|kind| match kind {
            RowKind::Record(identity) => identity,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Ids are of their hook. Versions before that had one space for all ids, that of the webhook of events, and left nothing
/// of an event out; what they have logged is recognised.
#[test]
fn an_event_of_a_hook_is_known_by_its_hooks_id_and_by_that_of_earlier_versions() {
    let contract = contract(Rules::default());
    let ignored = Ignored::new(["/attempt"].into_iter());
    let mut rows = Rows::default();
    for (hook, attempt) in [("github", 1), ("github", 2), ("other", 1)] {
        let envelope = Envelope {
            source: hook,
            id: ID,
            provider_id: Some(ID),
            event_type: "push",
            user: None,
            time: None,
            unusable_time: None,
            headers: None,
            batch: None,
        };
        let raw = format!(r#"{{"ref":"main","attempt":{attempt}}}"#);
        let scope = contract.scope(hook, &ignored);
        contract.push_foreign(&mut rows, &scope, &raw, &envelope, &origin());
    }
    let [first, again, other] = identities(&rows)[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(first, again);
    assert_ne!(first.tag, other.tag);

    let events = contract
        .check(body(&[EVENT]).as_bytes(), &origin())
        .unwrap();
    let of_events = identities(&events.rows)[0];
    assert_ne!(first.tag, of_events.tag);
    let [first, again, other] = rows.former[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(first.tag, of_events.tag);
    assert_ne!(first.content, again.content);
    assert_eq!(first, other);
}
