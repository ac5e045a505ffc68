//! S3 and compatible stores, by the AWS SDK: region and credentials as in every AWS tool.
//!
//! Single requests, never multipart. No retries here: the commit protocol asks again, for ever, and
//! looks at what is there in between. Each put carries the checksum that the protocol asks for in a
//! plain header; the SDK's own, a trailer in chunks, is what many compatible stores refuse.

mod location;
mod credentials;
mod settings;
mod answers;
mod sockets;
mod upload;
mod options;
mod client;

pub use client::S3;
pub use location::{Encryption, Endpoint, Location, ObjectOptions};
