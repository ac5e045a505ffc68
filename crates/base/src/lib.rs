//! What every layer builds on: values, and seams to the outside. No network, no threads, no
//! waiting.

pub mod tables;
pub mod columns;
pub mod json;
pub mod record;
pub mod secret;
pub mod signature;
pub mod ids;
pub mod files;
pub mod side_files;
pub mod instant;
pub mod rfc3339;
pub mod clock;
pub mod checksum;
pub mod codec;
