//! An S3 server in this process, over real HTTP on a port of its own, with faults on demand.
//!
//! Promises: a conditional put is atomic; faults apply a request exactly if they say so; access key and secret
//! are both `test`, and signatures are verified. One bucket exists from the start.

mod auth;
mod faults;
mod front;
mod server;
mod service;
mod store;

pub(crate) use faults::{Chances, Checksums, Counts, Fault, Faults, Says};
pub(crate) use server::{S3Server, aws_env, with_keys};
pub(crate) use store::{Object, Page, Put, Query, Store};

/// The bucket that every server has.
pub(crate) const BUCKET: &str = "lake";

/// Access key and secret key of every server of the laboratory.
pub(crate) const KEY: &str = "test";
