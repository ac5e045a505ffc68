//! What a server needs of those who answer its requests.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use metrics::Gauge;

use super::budget::Budget;
use super::unreadable;

/// Answers the requests to one address. Each connection has a clone.
pub trait Answering: Clone + Send + Sync + 'static {
    /// Answers a request, which has the peer's address among its extensions.
    fn answer(self, request: Request) -> impl Future<Output = Response> + Send;

    /// The gauge of open connections.
    fn connections(&self) -> &Gauge;

    /// The memory for requests in flight, of which each request over HTTP/2 takes a share. Without it, nobody may speak
    /// HTTP/2.
    fn memory(&self) -> Option<&Budget> {
        None
    }

    /// Counts an answer that was given without asking.
    fn count(&self, _status: StatusCode) {}

    /// The answer to a head that cannot be read, as bytes of HTTP/1.1.
    fn refuse_head(&self, status: u16, date: &str, max_head: usize) -> Vec<u8> {
        unreadable::bytes(&unreadable::problem(status, max_head), None, date)
    }
}
