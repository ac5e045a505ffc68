//! `lakehook check`, as far as it is about the replica of the logs.

use crate::config::Config;
use crate::out;
use crate::serve::LogRole;
use crate::serve::home::place_of;
use crate::serve::inspection::{Probed, inspect_log, probe_replica};

/// Probes whether the replica can keep a log, and looks at the log. Returns whether all is right.
pub(super) fn check(config: &Config, name: &str, role: LogRole) -> bool {
    let Some(replica) = place_of(config, role) else {
        return true;
    };
    let place = replica.name();
    let Probed { problems, warnings } = match probe_replica(&replica, &config.wal.nats_monitor) {
        Ok(probed) => probed,
        Err(error) => Probed {
            problems: vec![error.to_string()],
            warnings: Vec::new(),
        },
    };
    for warning in warnings {
        out::line(format_args!("warning  {place}: {warning}"));
    }
    let mut problems = problems;
    if problems.is_empty() {
        match inspect_log(config, role) {
            Ok(inspection) => {
                let of_log = inspection.into_iter().flat_map(|log| log.problems);
                problems.extend(of_log);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    for problem in &problems {
        out::line(format_args!("problem  {name}, {place}: {problem}"));
    }
    if problems.is_empty() {
        out::line(format_args!("ok       {name} ({place})"));
    }
    problems.is_empty()
}
