//! From the sections of the configuration to the rules of the contract for events.

use super::sections::{Config, Events};
use super::wal::Wal;
use super::words::ContractKind;
use crate::contract::{Beyond, EVENTS, PartitionError, Partitioning, Rules, SchemaError, Schemas};

/// The word in a list that stands for any.
pub(super) const ANY: &str = "*";

impl Config {
    /// The settings of the feeds' log, in the form of `[wal]`.
    pub fn feeds_log(&self) -> Wal {
        Wal {
            dir: self.polls.dir.clone(),
            max_bytes: self.polls.max_bytes,
            segment_bytes: None,
            ..self.wal.clone()
        }
    }

    /// The rules of the contract for events. This cannot fail for a configuration that was loaded.
    pub fn rules(&self) -> Result<Rules, PartitionError> {
        let events = &self.events;
        let is_open = events.contract == ContractKind::Open;
        let named = |words: &[String]| -> Vec<String> {
            let named = words.iter().filter(|word| *word != ANY);
            named.cloned().collect()
        };
        let takes_any = |words: &[String]| is_open || words.iter().any(|word| word == ANY);
        let mut types = named(&events.types);
        // What is dropped is known by its place in the list.
        let dropped = events
            .drop
            .iter()
            .filter(|word| !events.types.contains(word));
        types.extend(dropped.cloned());
        Ok(Rules {
            feed: EVENTS.to_owned(),
            types,
            sources: named(&events.sources),
            beyond: Beyond {
                any_type: takes_any(&events.types),
                any_source: takes_any(&events.sources),
                is_open,
            },
            drop: events.drop.clone(),
            drop_unchecked: events.drop_unchecked,
            on_invalid: events.on_invalid,
            max_events: self.server.max_events,
            max_event_bytes: self.server.max_event.as_usize(),
            max_age: events.max_age.duration(),
            max_ahead: events.max_ahead.duration(),
            partition: events.partitioning()?,
            dedup_ignore: self.dedup.ignore.clone(),
            max_quarantine_raw_bytes: self.quarantine.max_row.as_usize(),
        })
    }
}

impl Events {
    /// The partitions of events.
    pub fn partitioning(&self) -> Result<Partitioning, PartitionError> {
        Partitioning::new(EVENTS, &self.partition, self.partition_by)
    }

    /// The schemas of the configured directory, or the built-in ones.
    pub fn read_schemas(&self) -> Result<Schemas, Vec<SchemaError>> {
        match &self.schemas {
            Some(dir) => Schemas::from_dir(dir),
            // The included schemas belong to the events of the typed contract.
            None if self.contract == ContractKind::Open => Ok(Schemas::default()),
            None => Schemas::embedded().map_err(|error| vec![error]),
        }
    }
}
