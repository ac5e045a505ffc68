//! Encoding: the rows of a batch become the bytes of an object, as a stream, and can be read back.
//!
//! Memory is bounded whatever the size of the batch. `Content-Encoding` is never needed: engines choose
//! the codec by the suffix of the key. Knows neither log nor lake.
//!
//! A new format of objects is a variant of [`Format`], an arm in [`Encoder`], an arm in [`ObjectReader`],
//! and the file that encodes and decodes it.

mod format;
mod statistics;
pub mod ndjson;
mod sorted;
pub mod parquet;
pub mod parquet_read;
mod encoder;
mod reader;
mod filter;

pub use encoder::{Encoded, Encoder, ObjectSpec};
pub use filter::{Copied, RowFilter, copy_without, find_rows};
pub use format::{Codec, Format, Layout};
pub use reader::{ObjectReader, RowSums};
pub use statistics::{Bound, ColumnStatistics};
