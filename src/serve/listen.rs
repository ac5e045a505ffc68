//! The sockets that a service listens on.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::errors::ServeError;
use crate::config::Config;
use crate::control::Control;
use crate::receive::server::ConnectionLimits;
use crate::receive::tls::Tls;
use crate::receive::{App, Front, Server};
use crate::replay;
use crate::replay::owner::Replayer;

/// Opens the control socket for `lakehook quarantine replay`. If that fails, the service runs without it.
pub(super) fn listen_for_replays(config: &Config, replayer: Replayer) -> Option<Control> {
    let listening = replay::talk::listen(&config.wal.dir, replayer);
    let dir = config.wal.dir.display();
    let listening = listening.inspect_err(|error| {
        tracing::warn!(%error, %dir, "no socket there: `lakehook quarantine replay` cannot ask this service");
    });
    listening.ok()
}

/// Listens for requests, and for `/metrics` on its own address if it has one.
pub(super) async fn listen(
    config: &Config,
    tls: Option<Arc<Tls>>,
    app: &Arc<App>,
) -> Result<Vec<Server>, ServeError> {
    let limits = ConnectionLimits {
        max_connections: config.server.max_connections,
        header_timeout: config.server.header_timeout.duration(),
        idle_timeout: config.server.idle_timeout.duration(),
    };
    if let Some(tls) = &tls {
        let _set_before = app.tls.set(Arc::clone(tls));
    }
    let main = bind(config.server.listen).await?;
    let mut servers = vec![Server::start(main, tls, Front::new(app), limits)?];
    if let Some(address) = config.server.metrics_listen {
        let listener = bind(address).await?;
        servers.push(Server::start(
            listener,
            None,
            Front::of_metrics(app),
            limits,
        )?);
    }
    Ok(servers)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen { address, error })
}
