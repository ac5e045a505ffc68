//! Bodies of hooks that are too large: the answer is 413, and the quarantine says that there was one.
//!
//! Most providers never send such a delivery again, so the row is all that is left of it. Only an authentic one makes a
//! row: where the signature decides, the rest of the body is read for its sake alone, piece by piece, and forgotten.

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt as _;
use xxhash_rust::xxh3::Xxh3Default;

use super::admission::{Proofs, Standing};
use super::app::{App, Core};
use super::body::BodyLimits;
use super::hooks::Hook;
use super::refused::{RefusedBody, row_of};
use super::repeated::Repeated;
use super::signature::Claimed;
use crate::clock::Micros;
use crate::quarantine::{FieldError, Reason};
use crate::record::Origin;
use crate::signature::{Streamed, Unsigned};
use crate::wal::request::{Append, NO_RUN};

/// More than any provider sends, and so not worth reading.
const MAX_READ: u64 = 64 << 20;

/// A body that is too large.
pub(super) struct Oversized<'a> {
    /// The hook that it is for.
    pub(super) hook: &'a Hook,
    /// The head of its request.
    pub(super) parts: &'a Parts,
    /// What the head proves.
    pub(super) standing: Standing,
    /// What was read of it, up to the limit.
    pub(super) beginning: Vec<u8>,
    /// The rest.
    pub(super) rest: Body,
    /// The limits that it breaks.
    pub(super) limits: BodyLimits,
}

/// What is known of a whole body without having it.
struct Measured {
    bytes: u64,
    hash: u128,
    /// Whether it was read to its end.
    is_read: bool,
}

impl Oversized<'_> {
    /// Adds a row to the quarantine if the body is authentic. The answer does not depend on whether this succeeds.
    pub(super) async fn keep(mut self, app: &App, core: &Core, origin: Origin) {
        let room = app.settings.max_refused_bytes;
        let now = app.clock.wall();
        let measured = match self.standing {
            Standing::Proven if self.hook.keeps_unreadable() => Some(self.announced()),
            Standing::NeedsSignature if self.hook.proofs.prove_by_token(self.parts, now) => {
                Some(self.announced())
            }
            Standing::NeedsSignature => {
                let proofs = self.hook.proofs.clone();
                // The rest may take as long as a body that is taken.
                let limit = self.limits.timeout;
                let reading = self.read_signed(&proofs, now);
                tokio::time::timeout(limit, reading).await.ok().flatten()
            }
            _ => None,
        };
        let Some(measured) = measured else {
            return;
        };
        let evidence = self.hook.evidence(&self.parts.headers, false);
        let fingerprint = self.fingerprint(&measured, &evidence);
        let Measured { bytes, hash, .. } = measured;
        if app.repeated.has(fingerprint) {
            return;
        }
        let max_bytes = self.limits.max_bytes;
        let detail = format!("at most {max_bytes} bytes; it has {bytes}");
        let error = FieldError::of_body("too_large", detail);
        let refused = RefusedBody {
            errors: (&[error], 1),
            body: &self.beginning[..self.beginning.len().min(room)],
            whole: Some((bytes, hash)),
            origin: &origin,
            hook: Some(self.hook.of_hook(&evidence)),
        };
        let rows = row_of(&core.contract.rules().feed, &refused, room);
        let allowed = app
            .refused_allowance
            .take(rows.bytes.len() as u64, app.clock.now());
        let append = Append {
            rows,
            dropped: 0,
            origin,
            run: NO_RUN,
            cursor: None,
        };
        if allowed && core.logs.append(append).await.is_ok() {
            app.metrics.quarantined(Reason::RefusedRequest).increment(1);
            app.repeated.remember(&[fingerprint]);
        } else {
            app.metrics.refused_not_kept.increment(1);
        }
    }

    /// Identifies the delivery, so that it makes one row however often it is sent. Where the body was not read, the id in
    /// its headers tells it from others.
    fn fingerprint(&self, measured: &Measured, evidence: &str) -> u128 {
        let (hash, bytes) = (measured.hash.to_le_bytes(), measured.bytes.to_le_bytes());
        let of_head = if measured.is_read {
            &[]
        } else {
            evidence.as_bytes()
        };
        Repeated::fingerprint(&self.hook.name, &[&hash[..], &bytes, of_head].concat())
    }

    /// What the head says of a body that is not read to its end.
    fn announced(&self) -> Measured {
        let announced = self.parts.headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
        Measured {
            bytes: announced.unwrap_or(self.beginning.len() as u64),
            hash: xxhash_rust::xxh3::xxh3_128(&self.beginning),
            is_read: false,
        }
    }

    /// Reads the rest, and keeps none of it. `None` if the whole is not signed.
    async fn read_signed(&mut self, proofs: &Proofs, now: Micros) -> Option<Measured> {
        let list = proofs.list();
        let mut claims: Vec<Claimed<'_>> = Vec::new();
        for signing in super::admission::signings(&list) {
            claims.extend(signing.claims(self.parts, now));
        }
        let streams = claims.iter().map(Claimed::stream);
        let mut streams: Vec<Streamed<'_>> = streams.collect::<Option<_>>()?;
        if streams.is_empty() {
            return None;
        }
        let mut hash = Xxh3Default::new();
        let mut bytes = 0;
        let mut take = |data: &[u8]| {
            bytes += data.len() as u64;
            hash.update(data);
            for stream in &mut streams {
                stream.body(data);
            }
            bytes <= MAX_READ
        };
        take(&self.beginning);
        while let Some(frame) = self.rest.frame().await {
            if let Ok(data) = frame.ok()?.into_data()
                && !take(&data)
            {
                return None;
            }
        }
        let finished: Vec<Result<(), Unsigned>> =
            streams.into_iter().map(Streamed::finish).collect();
        let is_signed = finished.iter().any(Result::is_ok);
        is_signed.then(|| Measured {
            bytes,
            hash: hash.digest128(),
            is_read: true,
        })
    }
}
