//! For whom the console is: nobody beyond this machine reaches it without a token.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::console::ConsoleListen;
use super::findings::Findings;
use super::sections::Server;

/// Where the console listens if nothing else is set.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4002);

impl Server {
    /// The address of the console, if there is to be one, and whether that was asked for.
    pub fn console_address(&self) -> Option<(SocketAddr, bool)> {
        match self.console_listen {
            None => Some((DEFAULT_ADDRESS, false)),
            Some(ConsoleListen::Off) => None,
            Some(ConsoleListen::At(address)) => Some((address, true)),
        }
    }
}

/// Checks that nobody beyond this machine reaches a console without a token.
pub(super) fn check(server: &Server, findings: &mut Findings<'_>) {
    let Some((address, true)) = server.console_address() else {
        return;
    };
    let is_local = address.ip().to_canonical().is_loopback();
    if !is_local && server.console_token_file.is_none() {
        findings.problem(
            &["server.console_listen", "server.console_token_file"],
            "anyone who reaches this address could read what was sent and replay it; set \
             server.console_token_file, or listen on 127.0.0.1",
        );
    }
    let others = [Some(server.listen), server.metrics_listen];
    if address.port() != 0 && others.contains(&Some(address)) {
        findings.problem(
            &[
                "server.console_listen",
                "server.listen",
                "server.metrics_listen",
            ],
            "the console needs an address of its own; choose another port, or set it to \"off\"",
        );
    }
    if !is_local && server.tls_cert_file.is_none() {
        findings.warning(
            "server.console_listen",
            "tokens and pages travel unencrypted there; set server.tls_cert_file, or put a proxy with TLS in front",
        );
    }
}
