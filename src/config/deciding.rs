//! What nodes of a cluster must agree on.

use serde_json::json;

use super::hook_words::{OnConflict, Texts};
use super::sections::Config;
use super::words::ContractKind;
use crate::contract::PartitionBy;

impl Config {
    /// What decides which events are the same, and what they become in the log: nodes of a cluster that differ in it would
    /// take an event that is sent again for another one. Nodes of two versions compare the text, so it is written out
    /// here, and stays as it is for the settings of before.
    pub fn deciding(&self) -> String {
        let events = &self.events;
        let contract = match events.contract {
            ContractKind::Typed => "typed",
            ContractKind::Open => "open",
        };
        let by = match events.partition_by {
            PartitionBy::Timestamp => "timestamp",
            PartitionBy::ReceivedAt => "received_at",
        };
        let hooks = self.hook.iter().map(|(name, hook)| {
            let listed = |texts: &Option<Texts>| {
                let texts = texts.iter().flat_map(Texts::iter);
                texts.map(ToString::to_string).collect::<Vec<_>>()
            };
            let on_conflict = hook.on_conflict.map(|on| match on {
                OnConflict::Duplicate => "duplicate",
                OnConflict::Quarantine => "quarantine",
            });
            json!({
                "name": name,
                "scheme": hook.scheme.map(|scheme| scheme.0.name),
                "id": listed(&hook.id),
                "type": listed(&hook.r#type),
                "time": listed(&hook.time),
                "user": listed(&hook.user),
                "on_conflict": on_conflict,
            })
        });
        let decides = json!({
            "contract": contract,
            "ignore": self.dedup.ignore,
            "partition": events.partition,
            "partition_by": by,
            "hooks": hooks.collect::<Vec<_>>(),
        });
        decides.to_string()
    }
}
