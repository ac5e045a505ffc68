//! What the model assumes, each of it an argument of `wal cost`.

use clap::Args;
use serde::Serialize;

/// How much comes in, and how large it is.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "What comes in")]
pub struct IncomingFigures {
    /// Events a second, of all nodes; may be given again [default: 1000, 100000 and 10000000]
    #[arg(long = "rate", value_name = "N", value_parser = positive)]
    pub rates: Vec<f64>,
    /// Nodes, each of which takes its share of the requests; may be given again [default: 1, 10 and 100]
    #[arg(long = "nodes", value_name = "N", value_parser = positive)]
    pub nodes: Vec<f64>,
    /// Events of a request
    #[arg(long, value_name = "N", default_value = "100", value_parser = positive)]
    pub events_per_request: f64,
    /// Bytes of an event as JSON
    #[arg(long, value_name = "N", default_value = "500", value_parser = positive)]
    pub event_bytes: f64,
    /// How many times smaller rows become where a frame has 16 KiB of them
    #[arg(long, value_name = "N", default_value = "6", value_parser = positive)]
    pub ratio: f64,
}

/// What a node can do.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "What a node can do")]
pub struct NodeFigures {
    /// Processors of a node
    #[arg(long, value_name = "N", default_value = "8", value_parser = positive)]
    pub cores: f64,
    /// Microseconds of a processor for each event
    #[arg(long, value_name = "N", default_value = "2", value_parser = positive)]
    pub event_micros: f64,
    /// Most MiB of rows in a frame
    #[arg(long, value_name = "N", default_value = "4", value_parser = positive)]
    pub frame_mib: f64,
    /// Seconds until rows are in the lake, and leave the log
    #[arg(long, value_name = "N", default_value = "300", value_parser = positive)]
    pub ship_seconds: f64,
}

/// A log on the disks of the nodes.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "disk: a volume on each node")]
pub struct DiskFigures {
    /// Milliseconds of a sync
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub disk_millis: f64,
    /// MiB that are written in a second
    #[arg(long, value_name = "N", default_value = "125", value_parser = positive)]
    pub disk_mib: f64,
    /// Dollars a month for a volume
    #[arg(long, value_name = "N", default_value = "2", value_parser = positive)]
    pub disk_price: f64,
}

/// A log in a bucket.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "s3: a bucket")]
pub struct BucketFigures {
    /// Milliseconds between two PUTs of a log: `wal.replica_interval`
    #[arg(long, value_name = "N", default_value = "250", value_parser = positive)]
    pub s3_interval_millis: f64,
    /// Milliseconds of a PUT
    #[arg(long, value_name = "N", default_value = "150", value_parser = positive)]
    pub s3_millis: f64,
    /// MiB that one PUT carries in a second
    #[arg(long, value_name = "N", default_value = "50", value_parser = positive)]
    pub s3_mib: f64,
    /// Dollars for a thousand PUTs
    #[arg(long, value_name = "N", default_value = "0.005", value_parser = positive)]
    pub s3_put_price: f64,
    /// Dollars a month for a GB that is stored
    #[arg(long, value_name = "N", default_value = "0.023", value_parser = positive)]
    pub s3_gb_price: f64,
}

/// A log in NATS.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "nats: clusters of three servers that sync before they answer")]
pub struct ServerFigures {
    /// Milliseconds of an append
    #[arg(long, value_name = "N", default_value = "10", value_parser = positive)]
    pub nats_millis: f64,
    /// MiB that one append carries in a second
    #[arg(long, value_name = "N", default_value = "24", value_parser = positive)]
    pub nats_mib: f64,
    /// MiB that a cluster of three servers takes in a second
    #[arg(long, value_name = "N", default_value = "50", value_parser = positive)]
    pub nats_cluster_mib: f64,
    /// Dollars a month for a server
    #[arg(long, value_name = "N", default_value = "150", value_parser = positive)]
    pub nats_price: f64,
    /// Dollars for a GB from one zone to another
    #[arg(long, value_name = "N", default_value = "0.02", value_parser = positive)]
    pub zone_gb_price: f64,
}

/// Everything that is assumed.
#[derive(Clone, Debug, Args, Serialize)]
pub struct Assumptions {
    /// What comes in.
    #[command(flatten)]
    pub incoming: IncomingFigures,
    /// What a node can do.
    #[command(flatten)]
    pub node: NodeFigures,
    /// The disks.
    #[command(flatten)]
    pub disk: DiskFigures,
    /// The bucket.
    #[command(flatten)]
    pub s3: BucketFigures,
    /// The servers.
    #[command(flatten)]
    pub nats: ServerFigures,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("must be a number above 0".to_owned())
    }
}

impl IncomingFigures {
    /// The rates to compute.
    pub(super) fn rates(&self) -> Vec<f64> {
        or_default(&self.rates, [1e3, 1e5, 1e7])
    }

    /// The numbers of nodes to compute.
    pub(super) fn nodes(&self) -> Vec<f64> {
        let nodes = or_default(&self.nodes, [1.0, 10.0, 100.0]);
        nodes.into_iter().map(f64::ceil).collect()
    }
}

fn or_default(given: &[f64], default: [f64; 3]) -> Vec<f64> {
    if given.is_empty() {
        default.to_vec()
    } else {
        given.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_above_nothing_are_taken() {
        assert_eq!(positive("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "inf", "NaN", "many"] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
    }
}
