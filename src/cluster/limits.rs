//! Limits of both sides. Those that nodes must agree on are constants.

use std::time::Duration;

/// Most bytes of a request's body. Twice as large as a frame, so that whatever a frame can hold can be forwarded.
pub(super) const MAX_BODY: usize = 64 << 20;
/// Most requests that are gathered into one body.
pub(super) const MAX_GATHERED: usize = 4096;
/// No further request is gathered once a body has so many bytes.
pub(super) const GATHERED_BYTES: usize = 2 << 20;
/// Most bytes of an answer's body.
pub(super) const MAX_ANSWER: usize = 4 << 20;
/// Most bytes of an error message in an answer.
pub(super) const MAX_TEXT: usize = 512;

/// How far a request's time may be from the owner's clock, in either direction; beyond, nothing is forwarded. It is also how
/// long an owner remembers which requests it has seen. A forwarder waits no longer for an answer: so a request that was
/// held up on its way, or whose owner was stopped, is not carried out after its sender was told to try again.
pub const MAX_APART: Duration = Duration::from_secs(15);

/// How far a time of receipt may be ahead of the owner's clock. The watermark trails the newest time of receipt by five
/// seconds, so with this bound a node whose clock is right, or up to three seconds slow, is never late because of another
/// node whose clock is fast.
pub const MAX_AHEAD: Duration = Duration::from_secs(2);

/// Limits of the listener for other nodes.
#[derive(Clone, Copy, Debug)]
pub struct WireLimits {
    /// Most connections at a time; more wait in the system's queue.
    pub connections: usize,
    /// Most connections at a time that have not shown yet that they know the secret.
    pub strangers: usize,
    /// How long a connection may take to show that.
    pub introduction: Duration,
    /// How long a connection may wait for the head of its next request.
    pub idle: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// Memory for the bodies of all requests under way. A request for which there is none is refused at once.
    pub memory_bytes: usize,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            strangers: 32,
            introduction: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(10),
            memory_bytes: 256 << 20,
        }
    }
}

/// How long the forwarder waits.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to a request, from when it is sent; also the longest that a request waits before it is sent.
    pub answer: Duration,
    /// For the answer to a question whether a node is alive, with the connection.
    pub alive: Duration,
    /// A connection that was idle for so long is not used again. The listener keeps it for longer.
    pub idle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: MAX_APART,
            alive: Duration::from_secs(2),
            idle: Duration::from_secs(20),
        }
    }
}
