//! A small client of HTTP/2 that sends whatever it is told to, frame by frame.
//!
//! Heads are written without compression, so that any name and value can be sent.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::connect;

/// How a connection begins.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Types of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of an error, of a reset or of the end of the connection.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GO_AWAY { 4 } else { 0 };
        let bytes = self.payload[at..at + 4].try_into().unwrap();
        u32::from_be_bytes(bytes)
    }
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this body.
    Answered(Vec<u8>),
    /// It was reset with this code.
    Reset(u32),
    /// The connection ended, with this code if it said one.
    Ended(Option<u32>),
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// A block of headers.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        // A literal that is never indexed, with a name of its own (RFC 7541, 6.2.2).
        bytes.push(0);
        for text in [name, value] {
            push_length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    if length < 127 {
        bytes.push(u8::try_from(length).unwrap());
        return;
    }
    bytes.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// The fields of a request of JSON.
pub(crate) fn post<'f>(path: &'f str, more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let own = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", "application/json"),
    ];
    [&own, more].concat()
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects and sends the preface and settings; each later read may take as long as `timeout`.
    pub(crate) fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let mut connection = Self {
            stream: connect(address, timeout)?,
            received: Vec::new(),
        };
        connection.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
        Ok(connection)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request whole.
    pub(crate) fn request(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let end = if body.is_empty() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | end, stream, &block(fields));
        if !body.is_empty() {
            bytes.extend(frame(DATA, END_STREAM, stream, body));
        }
        self.send(&bytes)
    }

    /// The next frame.
    pub(crate) fn read(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(frame);
            }
            let mut buffer = [0; 16 << 10];
            let bytes = self.stream.read(&mut buffer)?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&buffer[..bytes]);
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.received.get(..9)?.try_into().unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.received.get(9..9 + length)?.to_vec();
        self.received.drain(..9 + length);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            payload,
        })
    }

    /// Waits for what becomes of a stream.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let mut body = Vec::new();
        let mut said = None;
        loop {
            let Ok(frame) = self.read() else {
                return Outcome::Ended(said);
            };
            let is_own = frame.stream == stream;
            match frame.kind {
                DATA if is_own => body.extend_from_slice(&frame.payload),
                RESET if is_own => return Outcome::Reset(frame.error()),
                GO_AWAY => said = Some(frame.error()),
                _ => {}
            }
            let is_answer = is_own && matches!(frame.kind, DATA | HEADERS);
            if is_answer && frame.flags & END_STREAM != 0 {
                return Outcome::Answered(body);
            }
        }
    }
}
