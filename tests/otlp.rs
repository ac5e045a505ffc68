//! Traces, as a collector gets them: with the feature `otlp` alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, click};
use crate::support::http::Connection;
use crate::support::process::Setup;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A span that came in.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    links: Vec<String>,
}

/// A collector: takes every request, and hands on the bodies for traces.
fn collector() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                let mut read = Vec::new();
                let mut part = [0; 4096];
                loop {
                    let bytes = stream.read(&mut part).unwrap_or(0);
                    if bytes == 0 {
                        return;
                    }
                    read.extend_from_slice(&part[..bytes]);
                    while let Some(end) = request_end(&read) {
                        let request: Vec<u8> = read.drain(..end).collect();
                        let start = head_end(&request).unwrap();
                        assert!(
                            request.starts_with(b"POST /v1/traces "),
                            "{:?}",
                            String::from_utf8_lossy(&request[..start])
                        );
                        let _nobody_asks = sender.send(request[start..].to_vec());
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                            .unwrap();
                    }
                }
            });
        }
    });
    (address, receiver)
}

fn head_end(read: &[u8]) -> Option<usize> {
    let at = read.windows(4).position(|four| four == b"\r\n\r\n");
    at.map(|at| at + 4)
}

/// Where the first request ends, once it is whole.
fn request_end(read: &[u8]) -> Option<usize> {
    let start = head_end(read)?;
    let head = String::from_utf8_lossy(&read[..start]).to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    (read.len() >= start + length).then_some(start + length)
}

/// The fields of a protobuf message that have a length: their numbers and bytes.
fn fields(message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut rest = message;
    let varint = |rest: &mut &[u8]| {
        let (mut value, mut shift) = (0_u64, 0);
        while let Some((byte, after)) = rest.split_first() {
            *rest = after;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let bytes = match tag & 7 {
            0 => {
                varint(&mut rest);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, after) = rest.split_at(bytes);
        rest = after;
        if tag & 7 == 2 {
            fields.push((tag >> 3, value));
        }
    }
    fields
}

/// The messages in one field.
fn of(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let fields = fields(message).into_iter();
    fields
        .filter(move |(own, _)| *own == number)
        .map(|(_, value)| value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in of(request, 1) {
        for scope in of(resource, 2) {
            for span in of(scope, 2) {
                let text = |number: u64| of(span, number).next().map(hex).unwrap_or_default();
                spans.push(Span {
                    trace: text(1),
                    id: text(2),
                    parent: text(4),
                    name: of(span, 5)
                        .map(|name| String::from_utf8(name.to_vec()).unwrap())
                        .collect(),
                    links: of(span, 13)
                        .map(|link| hex(of(link, 1).next().unwrap()))
                        .collect(),
                });
            }
        }
    }
    spans
}

#[test]
fn a_request_is_followed_from_its_receipt_to_the_put() {
    let (address, received) = collector();
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"));
    let program = setup.start();
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", &*traceparent),
    ];
    let mut connection = Connection::open(setup.address(), Duration::from_secs(20)).unwrap();
    let text = body(&[click(1)]);
    assert_eq!(
        connection
            .request("POST", PATH, &headers, text.as_bytes())
            .unwrap()
            .status,
        200
    );
    // One that the sender does not want to be followed, and one without a trace.
    let unsampled = traceparent.replace("-01", "-00").replace("4bf9", "5bf9");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", &*unsampled),
    ];
    let text = body(&[click(2)]);
    assert_eq!(
        connection
            .request("POST", PATH, &headers, text.as_bytes())
            .unwrap()
            .status,
        200
    );
    let refused = connection
        .request("POST", PATH, &headers[..1], b"{")
        .unwrap();
    assert_eq!(refused.status, 400);
    drop(connection);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());

    let spans: Vec<Span> = received.try_iter().flat_map(|body| spans(&body)).collect();
    let named = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let [receive, refused] = named("receive")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(
        (&*receive.trace, &*receive.parent),
        (TRACE, PARENT),
        "{spans:?}"
    );
    assert_ne!(refused.trace, TRACE, "{spans:?}");
    assert_eq!(refused.parent, "", "{spans:?}");
    let [log] = named("log")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(
        (&*log.trace, &log.parent),
        (TRACE, &receive.id),
        "{spans:?}"
    );
    // The events, and the copy of the refused request, which nobody follows.
    let puts = named("put");
    let links: Vec<&String> = puts.iter().flat_map(|put| &put.links).collect();
    assert_eq!(
        (puts.len(), &*links),
        (2, &[&TRACE.to_owned()][..]),
        "{spans:?}"
    );
    assert!(puts.iter().all(|put| put.trace != TRACE), "{spans:?}");
}

#[test]
fn a_collector_that_is_gone_holds_up_nothing() {
    let nobody = crate::support::process::free_address();
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{nobody}"));
    let program = setup.start();
    let answer = crate::http::post(&setup, body(&[click(1)]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}
