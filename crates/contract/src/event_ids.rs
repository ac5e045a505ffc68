//! The ids under which the log and the lake may know an event, by what its sender calls it.

use std::collections::BTreeSet;

use lakehook_base::record::Fingerprint;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::terms::Contract;

/// The ids that an event may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventIds(Vec<KnownAs>);

/// The id of an event in one scope of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownAs {
    scope: String,
    id: Uuid,
}

impl EventIds {
    /// The ids of an event that its sender calls `text`: in the feed of events, and for hooks with these names.
    pub fn of<'n>(text: &str, feed: &str, hooks: impl Iterator<Item = &'n str>) -> Self {
        let own = KnownAs {
            scope: feed.to_owned(),
            id: uuid_of("id", text),
        };
        let of_hooks = hooks.map(|name| KnownAs {
            scope: scope_of(name),
            id: uuid_of(name, text),
        });
        Self(std::iter::once(own).chain(of_hooks).collect())
    }

    /// As the column `event_id` has them.
    pub fn texts(&self) -> BTreeSet<String> {
        let texts = self.0.iter().map(|known| known.id.hyphenated().to_string());
        texts.collect()
    }

    /// The tags by which the log of a node knows them.
    pub fn tags(&self, fingerprint: &Fingerprint) -> Vec<u64> {
        let tags = self.0.iter();
        tags.map(|known| fingerprint.tag(&known.scope, known.id.as_bytes()))
            .collect()
    }
}

impl Contract {
    /// The tags by which the log knows these ids.
    pub fn tags_of(&self, ids: &EventIds) -> Vec<u64> {
        ids.tags(self.fingerprint())
    }
}

/// The scope of the ids of a hook.
pub(super) fn scope_of(hook: &str) -> String {
    format!("hook {hook}")
}

/// An id as a UUID. One that is none is hashed into one, together with what it is an id of.
pub(super) fn uuid_of(of: &str, id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_else(|_| made_of(of, id))
}

/// The UUID that is made of a text.
pub(super) fn made_of(of: &str, text: &str) -> Uuid {
    let named = [of.as_bytes(), &[0], text.as_bytes()].concat();
    uuid::Builder::from_custom_bytes(xxh3_128(&named).to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakehook_base::ids::HashKey;

    #[test]
    fn an_id_is_that_of_each_scope() {
        let hooks = ["stripe", "shopify"];
        let uuid = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";
        let ids = EventIds::of(&uuid.to_uppercase(), "events", hooks.into_iter());
        assert_eq!(ids.texts(), BTreeSet::from([uuid.to_owned()]));
        let fingerprint = Fingerprint::new(HashKey([7; 16]));
        let tags: BTreeSet<u64> = ids.tags(&fingerprint).into_iter().collect();
        assert_eq!(tags.len(), 3);
        let made = EventIds::of("evt_1", "events", hooks.into_iter());
        assert_eq!(made.texts().len(), 3);
        assert!(
            made.texts()
                .contains(&made_of("stripe", "evt_1").to_string())
        );
    }
}
