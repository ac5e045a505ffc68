//! `[cluster]`: several nodes that share logs.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::address::node_address_schema;
use super::amounts::Span;
use super::rules;
use crate::secret::Secret;

/// Where nodes are, unless something else is set: on this machine, and in networks that nobody else has.
const PRIVATE: [&str; 7] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

/// `[cluster]`: several nodes that share logs.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The name of the cluster; the service is a node of one if it is set.
    #[validate(custom(function = rules::plain_name))]
    pub name: Option<String>,
    /// The address at which other nodes reach this one.
    #[schemars(schema_with = "node_address_schema")]
    pub address: Option<SocketAddr>,
    /// A file with the secret of the cluster.
    #[schemars(length(min = 1))]
    pub secret_file: Option<PathBuf>,
    /// The secret in that file.
    #[serde(skip)]
    #[schemars(skip)]
    pub secret: Option<Secret>,
    /// How many logs the nodes share; it is decided when they are founded.
    #[validate(custom(function = rules::cluster_logs))]
    pub logs: u16,
    /// A node takes a log over if its owner has not answered for so long.
    #[validate(custom(function = rules::takeover_after))]
    pub takeover_after: Span,
    /// Networks in which the nodes are.
    pub networks: Vec<String>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: None,
            address: None,
            secret_file: None,
            secret: None,
            logs: 1,
            takeover_after: Span::seconds(5),
            networks: PRIVATE.map(str::to_owned).to_vec(),
        }
    }
}

/// What a node of a cluster is, once the configuration has been checked.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The name of the cluster.
    pub name: String,
    /// The address at which other nodes reach this one.
    pub address: SocketAddr,
    /// The secret of the cluster.
    pub secret: Secret,
}

impl Cluster {
    /// What this service is in the cluster; `None` if it is in none.
    pub fn membership(&self) -> Option<Membership> {
        Some(Membership {
            name: self.name.clone()?,
            address: self.address?,
            secret: self.secret.clone()?,
        })
    }
}
