//! moto's S3 server: a second implementation, written by others in Python. It is slow and has no faults.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::{self, Connection};
use super::process::free_address;
use super::python;
use super::s3::{BUCKET, aws_env};

/// The server. As it comes, it cannot say that a JSON document is there already, and answers 500.
const SERVER: &str = "
import moto.core.responses as responses
from moto.server import main
known = responses.determine_request_protocol
responses.determine_request_protocol = lambda service, content_type: known(service)
main()
";

/// A running moto with one bucket, [`BUCKET`]; killed when dropped.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    address: SocketAddr,
}

impl Moto {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let address = free_address();
        let child = Command::new(python::python())
            .args([
                "-c",
                SERVER,
                "-H",
                "127.0.0.1",
                "-p",
                &address.port().to_string(),
            ])
            .envs(aws_env())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Self { child, address };
        moto.wait_ready(Duration::from_mins(1));
        let mut connection = Connection::open(address, Duration::from_secs(10)).unwrap();
        let made = connection
            .request("PUT", &format!("/{BUCKET}"), &[], b"")
            .unwrap();
        assert_eq!(made.status, 200, "{}", made.text());
        moto
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait_ready(&mut self, limit: Duration) {
        let start = Instant::now();
        while http::get(self.address, "/moto-api/data.json").is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "moto ended with {ended:?}");
            assert!(start.elapsed() < limit, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
