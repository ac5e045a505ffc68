//! A program without traces.

use http::HeaderMap;

use super::endpoint::endpoint;

/// Would send what is left when it is dropped.
pub struct Tracing(());

/// A request.
#[derive(Clone, Debug, Default)]
pub struct RequestSpan(());

/// The way of a request's rows into the log.
pub struct LogSpan(());

/// The put of an object.
pub struct PutSpan(());

/// Says that this program has no traces, if some are wanted.
pub fn start() -> Result<Tracing, String> {
    if let Some(variable) = endpoint() {
        tracing::warn!(
            variable,
            "this program was built without the feature `otlp`: it sends no traces"
        );
    }
    Ok(Tracing(()))
}

#[allow(clippy::unused_self, reason = "the other variant uses it")]
impl RequestSpan {
    /// Begins.
    #[inline]
    pub fn begin(_headers: &HeaderMap, _path: &str) -> Self {
        Self(())
    }

    /// The rows go to the log, into these partitions.
    #[inline]
    pub fn log(&self, _partitions: &[String]) -> LogSpan {
        LogSpan(())
    }

    /// Ends with the status of the answer.
    #[inline]
    pub fn end(&self, _status: u16) {}
}

#[allow(clippy::unused_self, reason = "the other variant uses it")]
impl LogSpan {
    /// The rows are durable, or were not taken.
    #[inline]
    pub fn end(self, _is_durable: bool) {}
}

#[allow(clippy::unused_self, reason = "the other variant uses it")]
impl PutSpan {
    /// Begins the put of an object.
    #[inline]
    pub fn begin(_key: &str, _rows: u64) -> Self {
        Self(())
    }

    /// The object is in the lake, or could not be put.
    #[inline]
    pub fn end(self, _is_put: bool) {}
}
