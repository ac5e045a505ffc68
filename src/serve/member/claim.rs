//! What a fence says of its owner: who it is, for people, and in a cluster where the other nodes reach it.

use std::net::SocketAddr;

/// A node that has taken a log over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The name of its cluster.
    pub(super) cluster: String,
    /// Where other nodes reach it.
    pub(super) address: SocketAddr,
}

const CLUSTER: &str = ", cluster ";
const AT: &str = " at ";

impl Claim {
    /// What the fences of a node say, who is this process.
    pub(super) fn text(&self, process: &str) -> String {
        let Self { cluster, address } = self;
        format!("{process}{CLUSTER}{cluster}{AT}{address}")
    }

    /// Reads what a fence says; `None` if its owner was in no cluster.
    pub(super) fn parse(owner: &str) -> Option<Self> {
        let (_, rest) = owner.rsplit_once(CLUSTER)?;
        let (cluster, address) = rest.split_once(AT)?;
        Some(Self {
            cluster: cluster.to_owned(),
            address: address.parse().ok()?,
        })
    }
}

/// The address of the node that has made a fence, if it is in a cluster.
pub fn cluster_of(owner: &str) -> Option<SocketAddr> {
    Claim::parse(owner).map(|claim| claim.address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_claim_comes_back() {
        for address in ["10.0.0.5:4100", "[fd00::5]:4100"] {
            let claim = Claim {
                cluster: "prod-2".to_owned(),
                address: address.parse().unwrap(),
            };
            // A host may have any name.
            let text = claim.text("process 7 on host, cluster x at home");
            assert_eq!(Claim::parse(&text), Some(claim));
        }
    }

    #[test]
    fn who_is_in_no_cluster_has_no_claim() {
        for owner in [
            "",
            "process 7 on host-a",
            "process 7 on host-a, cluster prod",
            "process 7 on host-a, cluster prod at 10.0.0.5",
            "process 7 on host-a, cluster prod at host-b:4100",
        ] {
            assert_eq!(Claim::parse(owner), None, "{owner}");
        }
    }
}
