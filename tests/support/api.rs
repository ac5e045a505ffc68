//! APIs to poll: wiremock for answers that are valid HTTP, a bare socket for those that are not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// A wiremock server that answers every request through a function.
pub(crate) struct Api {
    runtime: Runtime,
    server: MockServer,
}

impl Api {
    /// Starts it; the function gets the request and its number, from 0.
    pub(crate) fn start(
        answer: impl Fn(&Request, usize) -> ResponseTemplate + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(MockServer::start());
        let count = AtomicUsize::new(0);
        let respond =
            move |request: &Request| answer(request, count.fetch_add(1, Ordering::SeqCst));
        let mock = Mock::given(any()).respond_with(respond);
        runtime.block_on(mock.mount(&server));
        Self { runtime, server }
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let received = self.server.received_requests();
        self.runtime.block_on(received).unwrap()
    }
}

/// A parameter of a request.
pub(crate) fn param(request: &Request, name: &str) -> Option<String> {
    let mut pairs = request.url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, v)| v.into_owned())
}

/// A parameter of a request, as a number.
pub(crate) fn number(request: &Request, name: &str) -> usize {
    param(request, name).map_or(0, |text| text.parse().unwrap())
}

/// A header of a request.
pub(crate) fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.headers.get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

/// 200 with a body.
pub(crate) fn page(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// Records with the ids of that range.
pub(crate) fn things(ids: std::ops::Range<usize>) -> Vec<Value> {
    ids.map(thing).collect()
}

/// The record with that id.
pub(crate) fn thing(id: usize) -> Value {
    json!({"id": id, "name": format!("thing {id}")})
}

/// A server that writes whatever it likes.
pub(crate) struct RawApi {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl RawApi {
    /// Starts it. For each connection, the function gets the first line of the request, the number of
    /// the connection (from 0), and the stream, which is closed afterwards.
    pub(crate) fn start(
        answer: impl Fn(&str, usize, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&count), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream, number, &*answer));
            }
        });
        Self { address, count }
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, number: usize, answer: &dyn Fn(&str, usize, &mut TcpStream)) {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    for line in lines {
        if line.is_ok_and(|line| line.is_empty()) {
            break;
        }
    }
    answer(&first, number, &mut stream);
}

/// Writes the head of an answer; the program may be gone.
pub(crate) fn write_head(stream: &mut TcpStream, headers: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n\r\n");
    let _gone = stream.write_all(head.as_bytes());
}
