//! What this binary is when the bench starts it again: a process of its own beside the measured one.
//!
//! A role prints its address as one line, serves, and ends when its standard input does; so none
//! outlives the bench, however that ends.

use std::io::Read as _;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

use crate::support::s3::S3Server;

/// What the bare handler answers.
pub(crate) const BARE_ANSWER: &[u8] = br#"{"status":"success"}"#;

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An axum handler that reads the body and answers 200.
    Bare,
    /// An S3 server.
    S3,
}

impl Role {
    /// The role of that name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match name {
            "bare" => Some(Self::Bare),
            "s3" => Some(Self::S3),
            _ => None,
        }
    }
}

/// Plays it until standard input ends.
pub(crate) fn play(role: Role) -> Result<()> {
    match role {
        Role::Bare => serve_bare(),
        Role::S3 => {
            let server = S3Server::start(1);
            println!("{}", server.address());
            wait_for_the_end();
            Ok(())
        }
    }
}

fn serve_bare() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    println!("{}", listener.local_addr()?);
    let router = Router::new().route("/webhook/events", post(answer));
    runtime.spawn(async move { axum::serve(listener, router).await });
    wait_for_the_end();
    Ok(())
}

async fn answer(_body: Bytes) -> &'static [u8] {
    BARE_ANSWER
}

fn wait_for_the_end() {
    // An error is an end too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
