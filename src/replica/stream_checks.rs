//! What a stream must be so that it can keep a log. It is looked at by every start, because somebody may have
//! changed it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::nats::{Done, NatsConnection, NatsError, StreamPlace};
use crate::lake::LakeError;

/// There is no such stream.
const NO_STREAM: u32 = 10059;
/// Servers that have room for it, or servers at all, are missing.
const NO_PEERS: [u32; 4] = [10005, 10023, 10047, 10074];

/// So many servers have each message.
const REPLICAS: u64 = 3;

/// What JetStream says of a stream, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    config: StreamConfig,
    pub(super) state: StreamState,
    /// The number of subjects that a list has.
    #[serde(default)]
    pub(super) total: u64,
    pub(super) cluster: Option<StreamCluster>,
}

/// The servers that keep a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamCluster {
    leader: String,
    replicas: Vec<StreamReplica>,
}

#[derive(Debug, Deserialize)]
struct StreamReplica {
    name: String,
}

impl StreamCluster {
    /// Their names.
    pub(super) fn names(self) -> Vec<String> {
        let others = self.replicas.into_iter().map(|replica| replica.name);
        std::iter::once(self.leader).chain(others).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamState {
    /// Number of the newest message.
    pub(super) last_seq: u64,
    /// The subjects that were asked for, a page of them.
    #[serde(default)]
    pub(super) subjects: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StreamConfig {
    subjects: Vec<String>,
    retention: String,
    storage: String,
    discard: String,
    num_replicas: u64,
    max_age: i64,
    max_msgs: i64,
    max_msgs_per_subject: i64,
    max_bytes: i64,
    max_msg_size: i64,
    sealed: bool,
    deny_purge: bool,
    no_ack: bool,
    persist_mode: String,
    #[serde(flatten)]
    feeders: StreamFeeders,
}

/// The streams whose messages a stream gets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StreamFeeders {
    mirror: Option<Done>,
    sources: Option<Vec<Done>>,
}

/// Makes the stream of a log unless there is one, and refuses one that cannot keep a log.
pub(super) fn prepare(connection: &NatsConnection, place: &StreamPlace) -> Result<(), LakeError> {
    let StreamPlace {
        stream,
        root,
        needed,
        ..
    } = place;
    let subject = format!("{root}.>");
    let info = connection.ask::<StreamInfo>(&format!("STREAM.INFO.{stream}"), &json!({}));
    let info = match info {
        Err(error) if error.code() == Some(NO_STREAM) => {
            let wanted = json!({
                "name": stream,
                "description": "a log of lakehook: nobody else may write here",
                "subjects": [subject],
                "retention": "limits",
                "storage": "file",
                "discard": "new",
                "num_replicas": REPLICAS,
                "max_age": 0,
                "max_msgs": -1,
                "max_msgs_per_subject": -1,
                "max_bytes": needed,
                "max_msg_size": -1,
                "allow_direct": false,
            });
            connection.ask(&format!("STREAM.CREATE.{stream}"), &wanted)
        }
        info => info,
    };
    let info = info.map_err(|error| cannot_be_made(error, place))?;
    let problems = problems_of(&info.config, &subject, *needed);
    if problems.is_empty() {
        return Ok(());
    }
    Err(LakeError::Unusable(format!(
        "{} cannot keep a log: {}",
        place.name(),
        problems.join("; ")
    )))
}

fn cannot_be_made(error: NatsError, place: &StreamPlace) -> LakeError {
    if error.code().is_some_and(|code| NO_PEERS.contains(&code)) {
        return LakeError::Unusable(format!(
            "{} needs {REPLICAS} servers of one cluster with JetStream, each with room for {} bytes: {error}",
            place.name(),
            place.needed
        ));
    }
    error.into()
}

/// What a stream is that it must not be.
fn problems_of(config: &StreamConfig, subject: &str, needed: u64) -> Vec<String> {
    let mut problems = Vec::new();
    let mut refuse = |is_wrong: bool, why: String| {
        if is_wrong {
            problems.push(why);
        }
    };
    let replicas = config.num_replicas;
    refuse(
        replicas < REPLICAS,
        format!(
            "it has num_replicas = {replicas}, and a lost server must lose nothing: set {REPLICAS}"
        ),
    );
    refuse(
        config.subjects != [subject],
        format!(
            "its subjects are {}, and must be {subject} alone",
            config.subjects.join(", ")
        ),
    );
    let words = [
        ("storage", &config.storage, "file"),
        ("retention", &config.retention, "limits"),
        ("discard", &config.discard, "new"),
    ];
    for (key, value, wanted) in words {
        refuse(
            value != wanted,
            format!("it has {key} = {value}, and needs {wanted}"),
        );
    }
    let limits = [
        ("max_age", config.max_age),
        ("max_msgs", config.max_msgs),
        ("max_msgs_per_subject", config.max_msgs_per_subject),
        ("max_msg_size", config.max_msg_size),
    ];
    for (key, value) in limits {
        refuse(
            value > 0,
            format!("it has {key} = {value}, and a log must have no such limit"),
        );
    }
    let is_small = u64::try_from(config.max_bytes).is_ok_and(|bytes| bytes > 0 && bytes < needed);
    refuse(
        is_small,
        format!(
            "it has max_bytes = {}, and needs {needed}, so that the log is full before the stream is",
            config.max_bytes
        ),
    );
    refuse(config.sealed, "it is sealed".to_owned());
    refuse(
        config.deny_purge,
        "it has deny_purge, so nothing could be trimmed".to_owned(),
    );
    refuse(
        config.no_ack,
        "it has no_ack, so nobody would know what it has stored".to_owned(),
    );
    refuse(
        config.persist_mode == "async",
        "it has persist_mode = async, so it acknowledges what is not stored yet".to_owned(),
    );
    let StreamFeeders { mirror, sources } = &config.feeders;
    let is_fed = mirror.is_some() || sources.as_ref().is_some_and(|all| !all.is_empty());
    refuse(is_fed, "it is fed by another stream".to_owned());
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> serde_json::Value {
        json!({
            "subjects": ["lakehook.main.events.>"], "retention": "limits", "storage": "file", "discard": "new",
            "num_replicas": 3, "max_age": 0, "max_msgs": -1, "max_msgs_per_subject": -1, "max_bytes": -1,
            "max_msg_size": -1, "sealed": false,
        })
    }

    fn problems(value: serde_json::Value) -> Vec<String> {
        let config = serde_json::from_value::<StreamConfig>(value).unwrap_or_default();
        problems_of(&config, "lakehook.main.events.>", 1000)
    }

    #[test]
    fn every_setting_that_loses_frames_is_named() {
        assert_eq!(problems(right()), Vec::<String>::new());
        for (key, value) in [
            ("num_replicas", json!(1)),
            ("subjects", json!(["other.>"])),
            ("subjects", json!(["lakehook.main.events.>", "other.>"])),
            ("retention", json!("workqueue")),
            ("storage", json!("memory")),
            ("discard", json!("old")),
            ("max_age", json!(3_600_000_000_000_i64)),
            ("max_msgs", json!(1000)),
            ("max_msgs_per_subject", json!(1)),
            ("max_bytes", json!(999)),
            ("max_msg_size", json!(1000)),
            ("sealed", json!(true)),
            ("deny_purge", json!(true)),
            ("no_ack", json!(true)),
            ("persist_mode", json!("async")),
            ("mirror", json!({ "name": "other" })),
            ("sources", json!([{ "name": "other" }])),
        ] {
            let mut wrong = right();
            wrong[key] = value;
            let problems = problems(wrong);
            assert_eq!(problems.len(), 1, "{key}: {problems:?}");
        }
    }
}
