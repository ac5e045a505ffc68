//! S3 and compatible stores, through the AWS SDK: region and credentials come from the same places
//! as in every AWS tool.
//!
//! It sends single requests, never multipart uploads. It does not retry: the commit protocol asks
//! again, for ever, and looks at what is there in between. Each put carries the checksum that the
//! protocol asks for in a plain header; the SDK's own, a trailer in chunks, is refused by many
//! compatible stores.

mod location;
mod credentials;
mod settings;
mod answers;
mod sockets;
mod aside;
mod upload;
mod options;
mod rules;
pub(crate) mod client;
mod listed;

pub use client::S3;
pub use listed::ListedObject;
pub use location::{Encryption, Endpoint, Location, ObjectOptions};
