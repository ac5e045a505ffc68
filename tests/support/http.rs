//! A small blocking HTTP/1.1 client: one connection, kept alive, with every byte under the caller's control.
//!
//! Small on purpose: tests must be able to send what a real client would refuse to send, to stop in
//! the middle of it, and to tell "no answer" from "answered".

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status, such as 200.
    pub(crate) status: u16,
    /// The headers in the order received, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, with its chunks joined.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name (given in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the status is one of 200 to 299.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One connection to a server, over any stream.
#[derive(Debug)]
pub(crate) struct Connection<S: io::Read = TcpStream> {
    stream: BufReader<S>,
    host: SocketAddr,
    usable: bool,
}

impl Connection {
    /// Connects; each later read or write may take as long as `timeout`.
    pub(crate) fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = connect(address, timeout)?;
        Ok(Self::over(stream, address))
    }
}

impl<S: io::Read + io::Write> Connection<S> {
    /// Uses a stream that exists already.
    pub(crate) fn over(stream: S, host: SocketAddr) -> Self {
        Self {
            stream: BufReader::new(stream),
            host,
            usable: true,
        }
    }

    /// The stream underneath.
    pub(crate) fn stream(&self) -> &S {
        self.stream.get_ref()
    }

    /// Whether another request may be sent on it.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends a request with `Host` and `Content-Length`, and waits for the answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host).into_bytes();
        for (name, value) in headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            write!(bytes, "content-length: {}\r\n", body.len())?;
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        // A server that refuses a body early answers and closes while we write: read that answer.
        let sent = self.send_raw(&bytes);
        let answer = self.read_answer(method == "HEAD");
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }

    /// `POST` of JSON.
    pub(crate) fn post_json(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.request("POST", path, &[("content-type", "application/json")], body)
    }

    /// Sends these bytes and nothing else.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(bytes);
        self.usable &= sent.is_ok();
        sent
    }

    /// Waits for one answer (`to_head`: to a HEAD request, which has no body). Skips 1xx.
    pub(crate) fn read_answer(&mut self, to_head: bool) -> io::Result<Answer> {
        let answer = self.read_whole(to_head);
        self.usable &= answer.as_ref().is_ok_and(|answer| !answer.closes());
        answer
    }

    fn read_whole(&mut self, to_head: bool) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        while (100..200).contains(&answer.status) {
            answer = self.read_head()?;
        }
        if to_head || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.read_chunks()?;
        } else if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().map_err(invalid)?];
            self.stream.read_exact(&mut answer.body)?;
        } else {
            self.usable = false;
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn read_head(&mut self) -> io::Result<Answer> {
        let status_line = self.read_line()?;
        let status = status_line.split(' ').nth(1).unwrap_or_default();
        let mut answer = Answer {
            status: status.parse().map_err(invalid)?,
            ..Answer::default()
        };
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(answer);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(line.as_str()))?;
            answer
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).map_err(invalid)?;
            let read = (&mut self.stream).take(size).read_to_end(&mut body)?;
            if read as u64 != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read_line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// One line without its end; an error if the connection ends before it.
    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// Opens a stream; each later read or write may take as long as `timeout`.
pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// `GET` on a connection of its own, within ten seconds.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    Connection::open(address, Duration::from_secs(10))?.request("GET", path, &[], b"")
}

/// `POST` of JSON on a connection of its own, within ten seconds.
pub(crate) fn post_json(address: SocketAddr, path: &str, body: &[u8]) -> io::Result<Answer> {
    Connection::open(address, Duration::from_secs(10))?.post_json(path, body)
}
