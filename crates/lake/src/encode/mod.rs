//! Encodes the rows of a batch as the bytes of an object, in a stream, and reads them back.
//!
//! Memory is bounded whatever the size of the batch. `Content-Encoding` is never needed: engines
//! choose the codec by the suffix of the key. The encoders know neither log nor lake.
//!
//! A new format of objects needs a variant of [`Format`], an arm in [`Encoder`], an arm in
//! [`ObjectReader`], and a file that encodes and decodes it.

mod format;
mod statistics;
pub mod ndjson;
mod sorted;
mod cells;
mod typed_rows;
pub mod parquet;
pub mod parquet_read;
mod parquet_rows;
mod encoder;
mod parcels;
mod reader;
mod source;
mod filter;

pub use encoder::{Encoded, Encoder, ObjectSpec};
pub use filter::{Copied, RowFilter, copy_without, find_rows};
pub use format::{Codec, Format, Layout};
pub use parcels::ParcelEncoder;
pub use parquet::Memory;
pub use parquet_read::{FoundById, rows_with_ids};
pub use parquet_rows::{ParquetBounds, parquet_rows};
pub use reader::{ObjectReader, RowSums};
pub use source::Source;
pub use statistics::{Bound, ColumnStatistics};
pub use typed_rows::TypedRows;
