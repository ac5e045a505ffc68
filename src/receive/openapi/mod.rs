//! The description of the interface, as OpenAPI 3.1: `GET /openapi.json`, and `lakehook check --openapi`.
//!
//! Made of the types that are answered and of the published contract, for the paths, credentials and rules of
//! one configuration, so that there is nothing to keep in step by hand but which answers there are.

mod document;
mod answers;
mod schemas;

pub use document::document;
