//! The client, against answers written by hand.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::support::http::Connection;

/// Takes one connection, reads a little, answers with these bytes, and closes.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(bytes).unwrap();
    });
    address
}

fn ask(bytes: &'static [u8]) -> std::io::Result<(u16, String)> {
    let mut connection = Connection::open(answering(bytes), Duration::from_secs(5))?;
    let answer = connection.request("GET", "/", &[], b"")?;
    Ok((answer.status, answer.text()))
}

#[test]
fn bodies_of_each_framing_are_read() {
    let cases: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ];
    for case in cases {
        assert_eq!(ask(case).unwrap(), (200, "hello".to_owned()));
    }
}

#[test]
fn a_half_answer_is_no_answer() {
    let cases: [&[u8]; 5] = [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for case in cases {
        assert!(ask(case).is_err(), "{}", String::from_utf8_lossy(case));
    }
}
