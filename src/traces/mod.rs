//! Traces of requests: from their receipt over the log to the put of an object, for collectors that speak OTLP.
//!
//! With the feature `otlp`, and where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, a request is a span `receive`,
//! which goes on with the trace of its `traceparent`, with a span `log` in it that ends when the rows are durable. The
//! put of an object is a trace of its own, which links to the requests that were stored in its partition since the
//! object before. What cannot be sent in time is left out. Without the feature nothing of this is in the program.

mod endpoint;
#[cfg(not(feature = "otlp"))]
mod none;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use none::{LogSpan, PutSpan, RequestSpan, Tracing, start};
#[cfg(feature = "otlp")]
pub use otlp::{LogSpan, PutSpan, RequestSpan, Tracing, start};
