//! Connections to an API: time-outs, trust, client certificates and proxies.

use std::path::Path;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, Proxy};

use super::definition::Connection;
use super::trouble::describe;

/// A client that opens connections as configured.
pub(super) fn client(connection: &Connection) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .connect_timeout(connection.connect_timeout)
        .user_agent(concat!("lakehook/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &connection.ca_file {
        let pem = read(path, "ca_file")?;
        let trusted = Certificate::from_pem_bundle(&pem);
        let trusted = trusted.map_err(|_| unusable(path, "ca_file", "certificates in PEM"))?;
        if trusted.is_empty() {
            return Err(unusable(path, "ca_file", "certificates in PEM"));
        }
        builder = builder.tls_certs_only(trusted);
    }
    if let (Some(cert), Some(key)) = (&connection.client_cert_file, &connection.client_key_file) {
        let mut pem = read(cert, "client_cert_file")?;
        pem.push(b'\n');
        pem.extend(read(key, "client_key_file")?);
        let what = "a certificate in PEM, and client_key_file its private key";
        let identity = Identity::from_pem(&pem);
        builder = builder.identity(identity.map_err(|_| unusable(cert, "client_cert_file", what))?);
    }
    if let Some(proxy) = &connection.proxy {
        let proxy = Proxy::all(proxy.expose());
        // The error's own text might hold the proxy's password.
        builder = builder.proxy(proxy.map_err(|_| "proxy cannot be used".to_owned())?);
    }
    builder.build().map_err(|error| describe(&error))
}

fn unusable(path: &Path, key: &str, expected: &str) -> String {
    format!("{key}: {} does not hold {expected}", path.display())
}

#[allow(
    clippy::disallowed_methods,
    reason = "certificates are read before anything durable"
)]
fn read(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("{key}: failed to read {}: {error}", path.display()))
}
