//! `lakehook check`, as far as it is about the cluster.

use std::io::ErrorKind;
use std::net::TcpListener;

use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::config::{Config, Membership};
use crate::control::is_listened_to;
use crate::out;
use crate::serve::{ClusterFinding, probe_cluster};

/// Checks whether this machine could be a node of its cluster. Returns whether all is right.
pub(super) fn check(config: &Config) -> Result<bool, Failure> {
    let Some(membership) = config.cluster.membership() else {
        return Ok(true);
    };
    let has_address = check_address(config, &membership);
    let mut can_follow = true;
    for own in config.of_logs() {
        can_follow &= check_log(&own, &membership)?;
    }
    Ok(has_address && can_follow)
}

/// Checks whether this machine could follow the owner of a log.
fn check_log(config: &Config, membership: &Membership) -> Result<bool, Failure> {
    let name = match config.cluster.logs {
        1 => membership.name.clone(),
        _ => format!("{}, log {}", membership.name, config.wal.number),
    };
    let runtime = runtime()?;
    let found = runtime.block_on(probe_cluster(config, membership));
    runtime.shutdown_background();
    let can_follow = match found {
        Ok(ClusterFinding::Fine(what)) => {
            out::line(format_args!("ok       cluster {name}: {what}"));
            true
        }
        Ok(ClusterFinding::Doubtful(what)) => {
            out::line(format_args!("warning  cluster {name}: {what}"));
            true
        }
        Ok(ClusterFinding::Wrong(what)) => {
            out::line(format_args!("problem  cluster {name}: {what}"));
            false
        }
        Err(error) => {
            out::line(format_args!(
                "problem  cluster {name}: it is not known who owns the log: {error}"
            ));
            false
        }
    };
    Ok(can_follow)
}

/// Checks that a node could listen at its address, unless it does already.
fn check_address(config: &Config, membership: &Membership) -> bool {
    if is_listened_to(&config.wal.dir) {
        return true;
    }
    let address = membership.address;
    let Err(error) = TcpListener::bind(address) else {
        out::line(format_args!("ok       cluster.address ({address})"));
        return true;
    };
    let advice = match error.kind() {
        ErrorKind::AddrNotAvailable => {
            "it is no address of this machine; set the one of this machine that the other nodes reach"
        }
        ErrorKind::AddrInUse => "stop what listens there, or set another port",
        ErrorKind::PermissionDenied => "ports below 1024 need a privilege; set another port",
        _ => "set another address",
    };
    out::line(format_args!(
        "problem  `cluster.address`: nothing can listen on {address}: {error}; {advice}"
    ));
    false
}
