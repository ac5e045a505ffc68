//! The front of the S3 operations: the listener, and the faults on the way in and out.
//!
//! A request is read whole before its fault is decided, so that "nothing applied" and "applied" are
//! certain; a connection that breaks in the middle of a request is the TCP proxy's matter.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Checksums, Fault, Faults, Says};

type Answer = Result<Response<Body>, io::Error>;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) service: S3Service,
    pub(super) faults: Arc<Faults>,
}

impl Front {
    /// Accepts connections until the runtime ends.
    pub(super) async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            if self.faults.is_down() {
                reset(&stream);
                continue;
            }
            tokio::spawn(self.clone().serve(stream));
        }
    }

    /// Serves one connection; an error of the handler means: reset it.
    async fn serve(self, stream: TcpStream) {
        let handler = service_fn(move |request| {
            let front = self.clone();
            async move { front.handle(request).await }
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
        if let Err(error) = (&mut connection).await {
            let stream = connection.into_parts().io;
            if !is_orderly(&error) {
                reset(stream.inner());
            }
        }
    }

    async fn handle(self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let is_put = head.method == Method::PUT && is_object(head.uri.path());
        let is_conditional = head.headers.contains_key(http::header::IF_NONE_MATCH);
        let request = Request::from_parts(head, bytes);
        self.faults.count_request(is_put);
        self.faults.note(request.method(), request.headers());
        if self.faults.is_down() {
            self.faults.count_switched();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.faults.is_denied() {
            self.faults.count_switched();
            return error(StatusCode::FORBIDDEN, "AccessDenied");
        }
        if let Some(says) = self.faults.says() {
            self.faults.count_switched();
            return answer_of(says);
        }
        if is_put && is_conditional && self.faults.lacks_conditions() {
            self.faults.count_switched();
            return error(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
        }
        let has_checksum = ["content-md5", "x-amz-checksum-crc32c"]
            .iter()
            .any(|name| request.headers().contains_key(*name));
        if is_put && (self.faults.refuses_puts() || has_checksum && self.refuses_checksums()) {
            self.faults.count_switched();
            return error(StatusCode::BAD_REQUEST, "InvalidRequest");
        }
        // Probes and the label go well, so that scripts befall objects.
        let path = request.uri().path();
        if path.contains("/_lakehook/probe") || path.ends_with("/_lakehook/lake.json") {
            return self.apply(request).await;
        }
        match self.faults.draw(is_put) {
            None => self.apply(request).await,
            Some(fault) => self.befall(fault, request).await,
        }
    }

    fn refuses_checksums(&self) -> bool {
        self.faults.treats_checksums() == Checksums::Refused
    }

    async fn befall(self, fault: Fault, request: Request<Bytes>) -> Answer {
        match fault {
            Fault::InternalError => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Fault::SlowDown => error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
            Fault::Conflict => error(StatusCode::CONFLICT, "ConditionalRequestConflict"),
            Fault::Close => Err(io::Error::other(Orderly)),
            Fault::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            Fault::LateError => {
                self.apply(request).await?;
                error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
            Fault::LostAnswer => {
                self.apply(request).await?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Fault::AppliedLater(delay) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    self.apply(request).await
                });
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Fault::Flip => {
                let flip = |bytes: &mut Vec<u8>| {
                    if let Some(byte) = bytes.last_mut() {
                        *byte ^= 1;
                    }
                };
                self.apply(changed(request, flip)).await
            }
            Fault::Cut => {
                let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
                self.apply(changed(request, cut)).await
            }
            Fault::Stranger => Ok(Response::new(Body::from(
                "<html><body>Please log in</body></html>".to_owned(),
            ))),
            Fault::NotModified => error(StatusCode::NOT_MODIFIED, "NotModified"),
            Fault::Stall(delay) => {
                let answer = self.apply(request).await;
                match delay {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
                answer
            }
        }
    }

    async fn apply(&self, request: Request<Bytes>) -> Answer {
        let answer = self.service.call(request.map(Body::from)).await;
        answer.map_err(|_| io::Error::other("s3s failed"))
    }
}

/// Whether a path-style path names an object, not a bucket.
fn is_object(path: &str) -> bool {
    let bucket_and_key = path.trim_start_matches('/').split_once('/');
    bucket_and_key.is_some_and(|(_, key)| !key.is_empty())
}

fn error(status: StatusCode, code: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>a fault of the laboratory</Message></Error>"
    );
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/xml");
    answer.body(Body::from(xml)).map_err(io::Error::other)
}

fn answer_of(says: Says) -> Answer {
    let status = StatusCode::from_u16(says.status).map_err(io::Error::other)?;
    let mut answer = error(status, says.code)?;
    if let Some(region) = says.region {
        let region = http::HeaderValue::from_static(region);
        answer.headers_mut().insert("x-amz-bucket-region", region);
    }
    Ok(answer)
}

/// The connection is to end without an answer and without a reset.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Orderly;

fn is_orderly(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    let inner = cause.and_then(io::Error::get_ref);
    inner.is_some_and(|error| error.downcast_ref::<Orderly>().is_some())
}

/// Makes the close of this connection a reset, so that unsent bytes are discarded.
fn reset(stream: &TcpStream) {
    // It may be closed already; then there is nothing to reset.
    let _ = stream.set_zero_linger();
}

/// A request whose body was changed on its way.
fn changed(request: Request<Bytes>, change: impl FnOnce(&mut Vec<u8>)) -> Request<Bytes> {
    let (mut head, body) = request.into_parts();
    let mut bytes = body.to_vec();
    change(&mut bytes);
    head.headers
        .insert(http::header::CONTENT_LENGTH, bytes.len().into());
    Request::from_parts(head, bytes.into())
}
