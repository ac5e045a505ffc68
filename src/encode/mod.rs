//! Encoding: the rows of a batch become the bytes of an object, as a stream.
//!
//! Promises bounded memory whatever the size of the batch, and that `Content-Encoding` is never
//! needed: engines choose the codec by the suffix. Knows neither log nor lake.

pub mod ndjson;

pub use ndjson::{Encoder, same_content};

/// The format of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, zstd.
    #[default]
    NdjsonZst,
    /// One JSON object a line, gzip.
    NdjsonGz,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::NdjsonZst, Self::NdjsonGz, Self::Ndjson];

    /// Its name, which is also the suffix of object keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NdjsonZst => "ndjson.zst",
            Self::NdjsonGz => "ndjson.gz",
            Self::Ndjson => "ndjson",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The media type of such objects.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::NdjsonZst => "application/zstd",
            Self::NdjsonGz => "application/gzip",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}
