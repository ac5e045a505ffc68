//! Why a command that needs the owner of a log cannot be carried out here.

use crate::config::Config;
use crate::replay::talk;
use crate::wal::node::LockError;

/// The error of a command that has asked the process that holds a log's directory. If that is a node of a cluster that
/// follows, this names the owner, where the command is to be run. Otherwise it is no service that can be asked for this.
pub(super) async fn explained(
    config: &Config,
    held: &LockError,
    what: &str,
    error: impl Into<anyhow::Error>,
) -> anyhow::Error {
    if config.cluster.name.is_some()
        && let Ok(Some(elsewhere)) = talk::elsewhere(&config.wal.dir).await
    {
        return anyhow::anyhow!("{elsewhere}");
    }
    error.into().context(format!(
        "{held}; it is no service that can be asked {what}, or is still starting. Try again when it is ready or gone"
    ))
}
