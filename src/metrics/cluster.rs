//! Metrics of a node of a cluster.

use metrics::{Counter, Gauge, Label, describe_counter, describe_gauge};

/// Metrics of a node of a cluster for one of its logs. In a service without one all of them are 0, and their label is empty.
pub struct ClusterMetrics {
    /// Whether this node owns the log: 1 or 0.
    pub owner: Gauge,
    /// Whether it follows a living owner: 1 or 0.
    pub following: Gauge,
    /// Requests that the owner has stored for this node.
    pub forwarded: Counter,
    /// Requests that it has not stored, or not answered.
    pub not_forwarded: Counter,
    /// How often this node has taken the log over.
    pub takeovers: Counter,
    /// How often another node has taken it from this one.
    pub fenced: Counter,
}

pub(super) fn describe() {
    describe_gauge!(
        "lakehook_cluster_owner",
        "1 if this node owns the log of that number"
    );
    describe_gauge!(
        "lakehook_cluster_following",
        "1 if this node forwards to a living owner"
    );
    describe_counter!(
        "lakehook_cluster_forwarded_total",
        "Requests that the owner of the log has stored for this node"
    );
    describe_counter!(
        "lakehook_cluster_forward_errors_total",
        "Requests that the owner of the log has not stored, or not answered"
    );
    describe_counter!(
        "lakehook_cluster_takeovers_total",
        "How often this node has taken the log over"
    );
    describe_counter!(
        "lakehook_cluster_fenced_total",
        "How often another node has taken the log from this one"
    );
}

impl ClusterMetrics {
    /// The metrics of a node of the cluster with that name, for one log; it is empty in a service without one.
    pub(super) fn register(cluster: &str, log: u16) -> Self {
        let labels = || {
            let cluster = Label::new("cluster", cluster.to_owned());
            vec![cluster, Label::new("log", log.to_string())]
        };
        Self {
            owner: metrics::gauge!("lakehook_cluster_owner", labels()),
            following: metrics::gauge!("lakehook_cluster_following", labels()),
            forwarded: metrics::counter!("lakehook_cluster_forwarded_total", labels()),
            not_forwarded: metrics::counter!("lakehook_cluster_forward_errors_total", labels()),
            takeovers: metrics::counter!("lakehook_cluster_takeovers_total", labels()),
            fenced: metrics::counter!("lakehook_cluster_fenced_total", labels()),
        }
    }
}
