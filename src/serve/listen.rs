//! The sockets that a service listens on.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::errors::ServeError;
use crate::config::Config;
use crate::console::{Console, ConsoleFront};
use crate::control::Control;
use crate::receive::server::ConnectionLimits;
use crate::receive::tls::Tls;
use crate::receive::{App, Front, Server};
use crate::replay;
use crate::replay::owner::Replayer;
use crate::replay::talk::Recall;

/// Connections of people who look at the console, at a time.
const MAX_PEOPLE: usize = 128;

/// Opens the control socket for `lakehook quarantine replay`. If that fails, the service runs without it.
pub(super) fn listen_for_replays(
    config: &Config,
    replayer: Replayer,
    turn: Arc<Semaphore>,
    recall: Recall,
) -> Option<Control> {
    let listening = replay::talk::listen(&config.wal.dir, replayer, turn, recall);
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
        http2: config.server.http2,
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

/// Listens for people, if the configuration wants a console. `None` if nobody asked for the usual address and it is
/// taken; then the service runs without.
pub(super) async fn listen_for_people(
    config: &Config,
    tls: Option<Arc<Tls>>,
    console: Arc<Console>,
) -> Result<Option<Server>, ServeError> {
    let Some((address, is_asked_for)) = config.server.console_address() else {
        return Ok(None);
    };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) if !is_asked_for => {
            tracing::warn!(
                %address, %error,
                "no console: its usual address cannot be used; server.console_listen takes another one, or \"off\""
            );
            return Ok(None);
        }
        Err(error) => return Err(ServeError::Listen { address, error }),
    };
    let limits = ConnectionLimits {
        max_connections: MAX_PEOPLE,
        header_timeout: config.server.header_timeout.duration(),
        idle_timeout: config.server.idle_timeout.duration(),
        http2: false,
    };
    let front = ConsoleFront::new(console);
    Ok(Some(Server::start(listener, tls, front, limits)?))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen { address, error })
}
