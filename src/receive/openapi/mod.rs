//! The description of the interface, as OpenAPI 3.1: `GET /openapi.json`, and `lakehook check --openapi`.
//!
//! It is generated from the types of the answers, the table of pages and the published contract, for the paths,
//! credentials and rules of one configuration. Only the list of possible answers is maintained by hand.

mod document;
mod answers;
mod schemas;

pub use document::document;
