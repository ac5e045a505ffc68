//! The sample upstream over real HTTP, and against a receiver that has faults of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod events;
mod pages;
mod pushes;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ids::Ids;

use super::{Options, ServeError, Upstream, serve};

/// An upstream that is served.
struct Served {
    upstream: Upstream,
    base: String,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    async fn new(options: Options) -> Self {
        let upstream = Upstream::new(options, Clock::system(), &Ids::seeded(7)).unwrap();
        let (listener, address) = listen().await;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, upstream.clone(), shutdown.clone()));
        Self {
            upstream,
            base: format!("http://{address}"),
            shutdown,
            server,
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(client().get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str) -> (u16, Value) {
        read(client().post(format!("{}{path}", self.base))).await
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Status and body; every answer must be JSON and say so.
async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Asks every 5 ms until it is so, for ten seconds at most.
async fn eventually(mut is_so: impl FnMut() -> bool) {
    let asking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .unwrap();
}

/// The values of one field, each once.
fn distinct(entities: &[Value], field: &str) -> HashSet<String> {
    entities
        .iter()
        .map(|entity| entity[field].as_str().unwrap().to_owned())
        .collect()
}
