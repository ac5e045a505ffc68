//! Signatures of HTTP requests, as data: what is signed, with which algorithm, and where it is written.
//!
//! A [`Scheme`] says all of that. [`Scheme::read`] takes a signature out of headers, [`Scheme::verify`] checks it
//! in constant time, and [`Scheme::sign`] makes the headers of a request that is signed in the same way. So one
//! description serves requests that come in and requests that are sent.
//!
//! Knows no providers, no HTTP library, and no time but the one that it is given.

mod algorithm;
mod encoding;
mod form;
pub mod jwt;
mod scheme;
mod stream;
mod template;

pub use algorithm::{Algorithm, SigningKey};
pub use encoding::Encoding;
pub use form::{decoded, pairs};
pub use scheme::{Claim, KeyForm, MAX_SIGNATURES, Place, Scheme, TimeForm, Unsigned};
pub use stream::Streamed;
pub use template::{Hash, Message, Part, Template, TemplateError};

#[cfg(test)]
mod tests;
