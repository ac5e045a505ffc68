//! Answers the requests of other nodes: store rows, seal what is open, hand a log over, and tell how a log stands.
//!
//! The order of the checks matters. Who cannot show the secret learns nothing, gets nothing signed, and has no body read.
//! A request that was seen is remembered before anything else is decided, so that what was refused once is never carried
//! out later. Memory is taken before the body is read, and never waited for: two nodes that wait for each other's memory
//! would wait for ever.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Answer, Offered, Replies};
use super::head::{
    self, ALIVE, ANSWER_HEADER, APPEND, FILL, FLUSH, FORM, HAND_OVER, Head, REQUEST_HEADER,
    RESERVE, Unreadable, sign_answer,
};
use super::limits::{MAX_AHEAD, MAX_BODY, WireLimits};
use super::nonces::{Seen, Unacceptable, is_near};
use super::outcome::Outcome;
use super::owner::Owner;
use super::reading::{self, ReadError};
use super::refusal::Refusal;
use super::reserved::{self, Pending, Reservations};
use super::secret::ClusterSecret;
use super::target::{Standing, Target};
use crate::clock::Micros;
use crate::wal::log::Log;
use crate::wal::request::{Append, AppendError};

/// Memory is counted in pieces of so many bytes.
const PIECE: usize = 1 << 10;
/// What a request takes besides twice its body: the buffers of its connection.
const REQUEST_BYTES: usize = 64 << 10;

/// Answers requests.
pub(super) struct Handler {
    owner: Arc<dyn Owner>,
    secret: ClusterSecret,
    limits: WireLimits,
    seen: Mutex<Seen>,
    memory: Arc<Semaphore>,
    reservations: Reservations,
}

impl Handler {
    pub(super) fn new(owner: Arc<dyn Owner>, secret: ClusterSecret, limits: WireLimits) -> Self {
        Self {
            owner,
            secret,
            limits,
            seen: Mutex::default(),
            memory: Arc::new(Semaphore::new(limits.memory_bytes / PIECE)),
            reservations: Reservations::default(),
        }
    }

    /// Answers a request. Calls `introduce` if its sender knows the secret.
    pub(super) async fn handle<B>(
        &self,
        request: Request<B>,
        introduce: impl FnOnce(),
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let ask = (parts.method.as_str(), path);
        let header = parts.headers.get(REQUEST_HEADER);
        let text = header
            .and_then(|header| header.to_str().ok())
            .and_then(|header| head::authentic(&self.secret, ask, header));
        let Some((text, nonce)) = text.and_then(|text| Some((text, head::nonce_of(text)?))) else {
            return to_stranger();
        };
        introduce();
        let answer = match self.answer(ask, text, &parts.headers, &mut body).await {
            Ok(answer) => answer,
            Err(refusal) => {
                tracing::debug!(%refusal, "a request of another node is refused");
                // A sender that is still sending would not see the answer.
                let _late = tokio::time::timeout(self.limits.body, discard(&mut body)).await;
                Answer::Refusal(refusal)
            }
        };
        self.signed(nonce, &answer)
    }

    async fn answer<B>(
        &self,
        ask: (&str, &str),
        text: &str,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let head = Head::read(text).map_err(|error| match error {
            Unreadable::Form => Refusal::Form { speaks: FORM },
            Unreadable::Malformed => Refusal::Malformed("its head".into()),
        })?;
        let now = self.owner.now();
        match ask {
            ALIVE => self.alive(&head, now),
            APPEND => self.append(&head, now, headers, body).await,
            RESERVE => self.reserve(&head, now, headers, body).await,
            FILL => self.fill(&head, now, headers, body).await,
            FLUSH => self.flush(&head, now).await,
            HAND_OVER => self.hand_over(&head, now),
            // What only a later version asks.
            _ => Err(Refusal::Form { speaks: FORM }),
        }
    }

    fn alive(&self, head: &Head, now: Micros) -> Result<Answer, Refusal> {
        let standing = self.owner.standing(head.target.index);
        let standing = standing.ok_or(Refusal::NoSuchLog)?;
        // Nobody can forward whose clock is wrong. But whoever may have to take the log over must hear that, whatever his
        // clock says.
        if standing.is_alive && !is_near(head.time, now) {
            return Err(Refusal::Clock { now });
        }
        Ok(Answer::Standing(standing))
    }

    /// Seals what is open, once. The answer means that it is durable.
    async fn flush(&self, head: &Head, now: Micros) -> Result<Answer, Refusal> {
        self.accept(head, now)?;
        let _share = self.take_memory(0)?;
        let (log, before) = self.log_of(&head.target)?;
        let flushed = tokio::task::spawn_blocking(move || log.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            return Err(Refusal::Standing(before));
        }
        let standing = self.owner.standing(head.target.index).unwrap_or(before);
        Ok(Answer::Standing(standing))
    }

    /// Has this node hand a log over, if it owns more than others.
    fn hand_over(&self, head: &Head, now: Micros) -> Result<Answer, Refusal> {
        self.accept(head, now)?;
        let (_log, standing) = self.log_of(&head.target)?;
        if self.owner.hand_over(head.target.index) {
            Ok(Answer::Standing(standing))
        } else {
            Err(Refusal::Busy)
        }
    }

    async fn append<B>(
        &self,
        head: &Head,
        now: Micros,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (length, _share, log, before) = self.admit(head, now, headers)?;
        let reading = reading::read(body, length, &head.body);
        let appends = self.in_time(reading).await?;
        // This process may have been stopped meanwhile, and then nobody waits any more.
        let now = self.owner.now();
        if !is_near(head.time, now) {
            return Err(Refusal::Clock { now });
        }
        let outcomes = self.store(&log, appends).await;
        Ok(self.replies(head, before, outcomes))
    }

    /// Reserves LSNs for rows that the sender packs. Nothing is stored yet.
    async fn reserve<B>(
        &self,
        head: &Head,
        now: Micros,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (length, share, log, before) = self.admit(head, now, headers)?;
        let reading = reading::read_outlines(body, length, &head.body);
        let outlines = self.in_time(reading).await?;
        let latest = log.gauges().receipt(self.owner.now()).plus(MAX_AHEAD);
        let mut times = outlines.iter().map(|outline| outline.origin.received_at);
        if !self.reservations.has_room() || times.any(|received_at| received_at > latest) {
            return Ok(Answer::Declined);
        }
        let count = outlines.len();
        match log.reserve(outlines).await {
            Ok((offer, reserved)) => {
                let reservation = head.nonce;
                let pending = Pending::new(head.target, reserved, offer.appended.clone(), share);
                self.reservations.put(reservation, pending);
                Ok(Answer::Offer(Box::new(Offered { reservation, offer })))
            }
            Err(AppendError::NotReserved) => Ok(Answer::Declined),
            Err(error) => {
                let outcomes = vec![Outcome::Log(Err(error)); count];
                Ok(self.replies(head, before, outcomes))
            }
        }
    }

    /// Stores the sections of a reservation.
    async fn fill<B>(
        &self,
        head: &Head,
        now: Micros,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (length, _share, _log, before) = self.admit(head, now, headers)?;
        let bytes = self
            .in_time(reading::read_whole(body, length, &head.body))
            .await?;
        // As for requests that are whole.
        let now = self.owner.now();
        if !is_near(head.time, now) {
            return Err(Refusal::Clock { now });
        }
        let (reservation, filling) = reserved::decode(&bytes)
            .map_err(|malformed| Refusal::Malformed(malformed.to_string().into()))?;
        let Some(pending) = self.reservations.take(reservation, &head.target) else {
            return Ok(Answer::Declined);
        };
        let (reserved, appended) = pending.into_parts();
        let outcomes = match reserved.fill(filling).await {
            Ok(_sum) => appended
                .into_iter()
                .map(|one| Outcome::Log(Ok(one)))
                .collect(),
            Err(AppendError::NotReserved) => return Ok(Answer::Declined),
            Err(error) => vec![Outcome::Log(Err(error)); appended.len()],
        };
        Ok(self.replies(head, before, outcomes))
    }

    /// What is read of a body, if that takes no longer than a body may.
    async fn in_time<T>(
        &self,
        reading: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, Refusal> {
        let read = tokio::time::timeout(self.limits.body, reading).await;
        read.unwrap_or(Err(ReadError::Broken))
            .map_err(|error| Refusal::Malformed(error.to_string().into()))
    }

    /// Takes note of a request with a body and takes memory for that; returns the length of the body, the memory, the
    /// log, and how that stands.
    fn admit(
        &self,
        head: &Head,
        now: Micros,
        headers: &HeaderMap,
    ) -> Result<(usize, OwnedSemaphorePermit, Log, Standing), Refusal> {
        self.accept(head, now)?;
        let length = length_of(headers)?;
        let share = self.take_memory(length)?;
        let (log, standing) = self.log_of(&head.target)?;
        Ok((length, share, log, standing))
    }

    /// The answer to requests whose log stood like that before.
    fn replies(&self, head: &Head, before: Standing, outcomes: Vec<Outcome>) -> Answer {
        // Asked only now: it names a frame that is not older than those of the requests.
        let standing = self.owner.standing(head.target.index).unwrap_or(before);
        Answer::Replies(Replies { standing, outcomes })
    }

    /// Takes note of the request: it is carried out now or never.
    fn accept(&self, head: &Head, now: Micros) -> Result<(), Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.accept(head.time, head.nonce, now)
            .map_err(|error| match error {
                Unacceptable::Apart => Refusal::Clock { now },
                Unacceptable::Repeated => Refusal::Repeated,
            })
    }

    fn take_memory(&self, length: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let pieces = (2 * length + REQUEST_BYTES).div_ceil(PIECE);
        let pieces = u32::try_from(pieces).map_err(|_too_many| Refusal::Busy)?;
        let memory = Arc::clone(&self.memory);
        memory
            .try_acquire_many_owned(pieces)
            .map_err(|_none_left| Refusal::Busy)
    }

    /// The log of a target and its standing, if this node owns it just as the target says.
    fn log_of(&self, target: &Target) -> Result<(Log, Standing), Refusal> {
        let standing = self.owner.standing(target.index);
        let standing = standing.ok_or(Refusal::NoSuchLog)?;
        match self.owner.log(target.index) {
            Some((log, epoch)) if epoch == target.epoch && standing.is_that_of(target) => {
                Ok((log, standing))
            }
            _ => Err(Refusal::Standing(standing)),
        }
    }

    /// Stores requests, all of them in one turn of the log if it has room for them.
    async fn store(&self, log: &Log, mut appends: Vec<Append>) -> Vec<Outcome> {
        let latest = log.gauges().receipt(self.owner.now()).plus(MAX_AHEAD);
        let is_ahead = |append: &Append| append.origin.received_at > latest;
        let ahead: Vec<bool> = appends.iter().map(is_ahead).collect();
        appends.retain(|append| !is_ahead(append));
        let mut replies = log.append_all(appends).await.into_iter();
        let outcomes = ahead.into_iter().map(|is_ahead| {
            if is_ahead {
                return Some(Outcome::Ahead);
            }
            replies.next().map(Outcome::Log)
        });
        outcomes.map_while(|outcome| outcome).collect()
    }

    fn signed(&self, nonce: u128, answer: &Answer) -> Response<Full<Bytes>> {
        let (status, body) = (answer.status(), answer.encode());
        let mac = sign_answer(&self.secret, nonce, status, &body);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        if let Ok(mac) = HeaderValue::try_from(mac) {
            headers.insert(ANSWER_HEADER, mac);
        }
        response
    }
}

/// The answer to somebody who does not know the secret.
fn to_stranger() -> Response<Full<Bytes>> {
    let text =
        "only for nodes of this cluster: the request is not signed with the cluster's secret\n";
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn length_of(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length = headers.get(CONTENT_LENGTH);
    let length = length
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .ok_or_else(|| Refusal::Malformed("it says no length of its body".into()))?;
    if length > MAX_BODY {
        let max_bytes = MAX_BODY as u64;
        return Err(Refusal::TooLarge { max_bytes });
    }
    Ok(length)
}

/// Reads what is left of a body that may be large, within the limit of bodies.
async fn discard<B: Body<Data = Bytes> + Unpin>(body: &mut B) {
    let mut bytes = 0;
    while bytes <= MAX_BODY
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
