//! The server itself: store, operations and front combined, on a runtime of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::auth::Keys;
use super::faults::Faults;
use super::front::Front;
use super::service::Service;
use super::store::{Object, Store};
use super::{BUCKET, KEY};

/// A running S3 server; it ends when dropped, and its objects are gone.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: SocketAddr,
    store: Arc<Store>,
    faults: Arc<Faults>,
    keys: Keys,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Starts one whose faults are drawn from this seed (there are none until they are set).
    pub(crate) fn start(seed: u64) -> Self {
        let store = Arc::new(Store::default());
        store.create_bucket(BUCKET);
        let faults = Arc::new(Faults::new(seed));
        let operations = Service {
            store: Arc::clone(&store),
            faults: Arc::clone(&faults),
        };
        let mut service = S3ServiceBuilder::new(operations);
        let keys = Keys::new();
        service.set_auth(keys.clone());
        let front = Front {
            service: service.build(),
            faults: Arc::clone(&faults),
        };

        // A runtime of its own, so that plain tests can have a server, and async ones can't stall it.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            front.accept(TcpListener::from_std(listener).unwrap()).await;
        });
        Self {
            address,
            store,
            faults,
            keys,
            runtime: Some(runtime),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value for `lake.endpoint`: `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The switches.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// From now on only this access key and secret are accepted.
    pub(crate) fn accept_only(&self, access: &str, secret: &str) {
        self.keys.replace(access, secret);
    }

    /// Everything that it holds, without HTTP and without faults.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The keys in [`BUCKET`] that begin with `prefix`, sorted.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.store.keys(BUCKET, prefix)
    }

    /// The object under that key in [`BUCKET`].
    pub(crate) fn object(&self, key: &str) -> Option<Object> {
        self.store.get(BUCKET, key)
    }

    /// Puts an object of somebody else into [`BUCKET`], and replaces one that is there.
    pub(crate) fn put_foreign(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        metadata: HashMap<String, String>,
    ) {
        let object = Object {
            metadata,
            ..Object::new(bytes)
        };
        self.store.put(BUCKET, key, object, false);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // Waiting for a runtime isn't allowed inside another one, and nothing here is worth it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a test, which has this path, in a process that has the server's credentials: the client of the program takes
/// them from the environment.
pub(crate) fn with_keys(path: &str, test: fn()) {
    if std::env::var("AWS_ACCESS_KEY_ID").is_ok_and(|key| key == KEY) {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", path, "--nocapture"])
        .envs(aws_env())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}{errors}");
}

/// The environment variables that make an AWS tool use the laboratory's credentials.
pub(crate) fn aws_env() -> [(&'static str, &'static str); 4] {
    [
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", KEY),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}
