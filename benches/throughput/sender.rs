//! The load: connections that stay open, each with one request on its way, as fast as answers come.
//!
//! A client of our own, because it shares the machine with what it measures: it writes bytes that were
//! made before, and reads no more of an answer than it must. Any answer but the expected one ends the
//! bench. With a rate they are sent when they are due, and wait for a free connection if there is none.

#![allow(
    clippy::cast_precision_loss,
    reason = "a load has no more than millions of requests"
)]

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::durations::Sorted;
use super::work::{Request, Work};

const LENGTH_HEADER: &[u8] = b"content-length: ";

/// What to send where.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    address: SocketAddr,
    connections: usize,
    expected: fn(&Request) -> &[u8],
    /// Requests a second, whether or not answers come; otherwise each follows an answer.
    rate: Option<f64>,
    begun: Instant,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// Of each request.
    pub(crate) latencies: Sorted,
}

impl Load {
    /// So many connections; `expected` tells the body of the answer.
    pub(crate) fn new(
        address: SocketAddr,
        connections: usize,
        expected: fn(&Request) -> &[u8],
    ) -> Self {
        Self {
            address,
            connections,
            expected,
            rate: None,
            begun: Instant::now(),
        }
    }

    /// At that many requests a second.
    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self {
            rate: Some(rate),
            ..self
        }
    }

    /// Sends each request of that part of the work once.
    pub(crate) async fn send(self, work: &Arc<Work>, part: Range<usize>) -> Result<Sent> {
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let next = Arc::new(AtomicUsize::new(part.start));
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for stream in streams {
            let load = Self {
                begun: start,
                ..self
            };
            let (work, next) = (Arc::clone(work), Arc::clone(&next));
            tasks.spawn(load.converse(stream, work, next, part.clone()));
        }
        let mut latencies = Vec::with_capacity(part.len());
        while let Some(ended) = tasks.join_next().await {
            latencies.extend(ended??);
        }
        let wall = start.elapsed();
        let latencies = Sorted::new(latencies);
        Ok(Sent { wall, latencies })
    }

    /// One connection, until no request is left.
    async fn converse(
        self,
        mut stream: TcpStream,
        work: Arc<Work>,
        next: Arc<AtomicUsize>,
        part: Range<usize>,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut buffer = Vec::with_capacity(4096);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= part.end {
                return Ok(latencies);
            }
            let request = work.request(number);
            let mut start = Instant::now();
            if let Some(rate) = self.rate {
                // From when it was due, so that waiting for a free connection counts.
                start = self.begun + Duration::from_secs_f64((number - part.start) as f64 / rate);
                tokio::time::sleep_until(start.into()).await;
            }
            stream.write_all(&request.bytes).await?;
            let body = read_answer(&mut stream, &mut buffer).await?;
            latencies.push(start.elapsed());
            let expected = (self.expected)(request);
            if !buffer.starts_with(b"HTTP/1.1 200 ") || &buffer[body..] != expected {
                bail!(
                    "expected {}, was answered {}",
                    String::from_utf8_lossy(expected),
                    String::from_utf8_lossy(&buffer)
                );
            }
        }
    }
}

/// Reads one answer whole into the buffer; returns where its body begins.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<usize> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection ended before its answer");
        }
        let Some(head) = memmem::find(buffer, b"\r\n\r\n") else {
            continue;
        };
        let body = head + 4;
        if buffer.len() >= body + body_length(&buffer[..head])? {
            return Ok(body);
        }
    }
}

fn body_length(head: &[u8]) -> Result<usize> {
    let header = memmem::find(head, LENGTH_HEADER).context("an answer without length")?;
    let digits = head[header + LENGTH_HEADER.len()..].split(|byte| *byte == b'\r');
    let digits = digits.into_iter().next().unwrap_or_default();
    Ok(std::str::from_utf8(digits)?.parse()?)
}
