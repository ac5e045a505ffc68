//! Amazon SNS as the program sees it: a proxy that leads every connection to one server with a certificate for SNS,
//! which has certificates of signers and takes confirmations.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::Authority;

/// The host of the region.
pub(crate) const HOST: &str = "sns.eu-west-1.amazonaws.com";
/// Its topic.
pub(crate) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:sales";

/// SNS in one region.
pub(crate) struct Sns {
    proxy: SocketAddr,
    root_pem: String,
    signer: RsaKeyPair,
    /// What was asked for, and through which `CONNECT`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sns {
    pub(crate) fn start() -> Self {
        let authority = Authority::new();
        let pair = authority.issue_for(HOST);
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.clone()], key)
            .unwrap();
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = |year: i32| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            params.self_signed(&key).unwrap().pem()
        };
        let pages = Pages {
            good: certificate(4096),
            expired: certificate(2001),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = listener.local_addr().unwrap();
        let (config, log) = (Arc::new(config), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _gone = answer(stream.unwrap(), &config, &pages, &log);
            }
        });
        let signer = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
        Self {
            proxy,
            root_pem: authority.root_pem(),
            signer,
            asked,
        }
    }

    /// The environment of a program that reaches it. Writes the root certificate into the directory.
    pub(crate) fn env(&self, directory: &Path) -> [(&'static str, String); 2] {
        let root = directory.join("amazon.pem");
        std::fs::write(&root, &self.root_pem).unwrap();
        [
            ("HTTPS_PROXY", format!("http://{}", self.proxy)),
            ("SSL_CERT_FILE", root.to_str().unwrap().to_owned()),
        ]
    }

    /// What was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A message with these members besides those that every message has, signed.
    pub(crate) fn message(&self, kind: &str, certificate: &str, members: &[(&str, &str)]) -> Value {
        let now = lakehook::clock::Clock::system().now().wall.to_string();
        let mut message = json!({
            "Type": kind,
            "TopicArn": TOPIC,
            "Timestamp": now,
            "SignatureVersion": "2",
            "SigningCertURL": format!("https://{HOST}/{certificate}"),
        });
        for (name, value) in members {
            message[*name] = json!(value);
        }
        message["Signature"] = json!(self.signature(&message));
        message
    }

    fn signature(&self, message: &Value) -> String {
        let names = [
            "Message",
            "MessageId",
            "Subject",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ];
        let text: String = names
            .iter()
            .filter_map(|name| Some(format!("{name}\n{}\n", message[*name].as_str()?)))
            .collect();
        let mut signature = vec![0; self.signer.public_modulus_len()];
        let random = SystemRandom::new();
        self.signer
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        STANDARD.encode(signature)
    }
}

/// What the server has.
struct Pages {
    good: String,
    expired: String,
}

impl Pages {
    /// Status line and further headers, and the body.
    fn get(&self, path: &str) -> (String, String) {
        let ok = "200 OK".to_owned();
        match path {
            "/good.pem" => (ok, self.good.clone()),
            "/expired.pem" => (ok, self.expired.clone()),
            "/huge.pem" => (ok, "x".repeat(1 << 20)),
            "/text.pem" => (ok, "no certificate".to_owned()),
            "/moved.pem" => (
                format!("302 Found\r\nlocation: https://{HOST}/good.pem"),
                String::new(),
            ),
            path if path.contains("Token=stale") => ("404 Not Found".to_owned(), String::new()),
            path if path.starts_with("/?Action=ConfirmSubscription&") => (ok, "<ok/>".to_owned()),
            _ => ("404 Not Found".to_owned(), String::new()),
        }
    }
}

/// The lines of a head up to the empty one.
fn head(stream: impl Read) -> Vec<String> {
    let lines = BufReader::with_capacity(1, stream).lines();
    let lines = lines.map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn answer(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    pages: &Pages,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let connect = head(&stream);
    let to = connect.first().and_then(|line| line.split(' ').nth(1));
    let to = to.unwrap_or_default().to_owned();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let session = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    let request = head(&mut stream);
    let path = request.first().and_then(|line| line.split(' ').nth(1));
    let path = path.unwrap_or_default().to_owned();
    asked.lock().unwrap().push(format!("{to}{path}"));
    let (status, body) = pages.get(&path);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
