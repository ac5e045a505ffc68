//! A certificate authority for tests, and a blocking client that trusts it and shows the server's certificate.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};

use super::http::{self, Connection};

/// A connection through TLS.
pub(crate) type Secured = Connection<StreamOwned<ClientConnection, TcpStream>>;

/// The name in the certificates.
pub(crate) const NAME: &str = "hooks.example.com";

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) cert: CertificateDer<'static>,
}

impl Pair {
    /// Writes `cert.pem` and `key.pem`.
    pub(crate) fn write(&self, directory: &Path) {
        std::fs::write(directory.join("cert.pem"), &self.cert_pem).unwrap();
        std::fs::write(directory.join("key.pem"), &self.key_pem).unwrap();
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// A new pair for [`NAME`].
    pub(crate) fn issue(&self) -> Pair {
        self.issue_until(4096)
    }

    /// A pair that expires in that year.
    pub(crate) fn issue_until(&self, year: i32) -> Pair {
        self.pair(NAME, year)
    }

    /// A new pair for that name.
    pub(crate) fn issue_for(&self, name: &str) -> Pair {
        self.pair(name, 4096)
    }

    fn pair(&self, name: &str, year: i32) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert: cert.der().clone(),
        }
    }

    /// The root certificate, in the form that a client takes.
    pub(crate) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Connects, asking for [`NAME`], with either TLS version.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Secured> {
        self.connect_as(address, &[&version::TLS13, &version::TLS12], &[])
    }

    /// Connects with these TLS versions, and offers these protocols (ALPN).
    pub(crate) fn connect_as(
        &self,
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> io::Result<Secured> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from(NAME).unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = http::connect(address, Duration::from_secs(20))?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Connection::over(StreamOwned::new(session, stream), address))
    }
}

/// An API behind TLS on `localhost`, which answers every request with this JSON. It asks for a client's
/// certificate if `clients` says who signs them.
pub(crate) fn serve(pair: &Pair, clients: Option<&Authority>, body: &str) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.root.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    let config = builder.with_single_cert(vec![pair.cert.clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream.unwrap());
            // A client that trusts nobody is gone by now.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _gone = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _gone = stream.flush();
            } else {
                // A close with unread bytes would overtake the alert.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    });
    address
}

/// The certificate that the server sent.
pub(crate) fn shown(connection: &Secured) -> CertificateDer<'static> {
    let chain = connection.stream().conn.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}
