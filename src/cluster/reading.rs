//! A body as it arrives. Each part is put where it stays, and hashed on the way; nothing is decoded before the hash of the
//! whole is right.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};

use super::head::BodyHash;
use super::malformed::Malformed;
use super::message::{self, COUNT_BYTES, ENTRY_BYTES, Entry};
use crate::wal::request::Append;

/// Why the requests of a body cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection broke, or the body is shorter than was said.
    #[error("the body broke off")]
    Broken,
    /// It is not what was signed.
    #[error("the body is not the one that was signed")]
    Changed,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads a body of `length` bytes, and decodes its requests.
pub(super) async fn read<B>(
    body: B,
    length: usize,
    hash: &BodyHash,
) -> Result<Vec<Append>, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let decode = |(entry, about, rows): Parts| message::decode(entry, &about, rows);
    let parts = read_parts(body, length, hash).await?.into_iter();
    Ok(parts.map(decode).collect::<Result<_, _>>()?)
}

/// Reads a body of `length` bytes, and decodes its outlines.
pub(super) async fn read_outlines<B>(
    body: B,
    length: usize,
    hash: &BodyHash,
) -> Result<Vec<Append>, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let decode = |(entry, about, _): Parts| message::decode_outline(entry, &about);
    let parts = read_parts(body, length, hash).await?.into_iter();
    Ok(parts.map(decode).collect::<Result<_, _>>()?)
}

/// Reads a body of `length` bytes whole.
pub(super) async fn read_whole<B>(
    body: B,
    length: usize,
    hash: &BodyHash,
) -> Result<Vec<u8>, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut reader = Reader::new(body, length);
    let whole = reader.take(length).await?;
    reader.vouch(hash)?;
    Ok(whole)
}

async fn read_parts<B>(body: B, length: usize, hash: &BodyHash) -> Result<Vec<Parts>, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut reader = Reader::new(body, length);
    let parts = reader.parts().await;
    let parts = match parts {
        // Where the body is not the one that was signed, that is what is wrong with it.
        Err(ReadError::Malformed(malformed)) => {
            reader.discard().await?;
            Err(malformed)
        }
        parts => Ok(parts?),
    };
    reader.vouch(hash)?;
    Ok(parts?)
}

/// A message, in its two parts.
type Parts = (Entry, Vec<u8>, Vec<u8>);

struct Reader<B> {
    body: B,
    frame: Bytes,
    /// Bytes of the body that were not taken yet.
    left: usize,
    hash: Sha256,
}

impl<B: Body<Data = Bytes> + Unpin> Reader<B> {
    fn new(body: B, length: usize) -> Self {
        Self {
            body,
            frame: Bytes::new(),
            left: length,
            hash: Sha256::new(),
        }
    }

    /// Whether what was read is what was signed.
    fn vouch(self, hash: &BodyHash) -> Result<(), ReadError> {
        let is_signed = self.hash.finalize().as_slice() == hash;
        is_signed.then_some(()).ok_or(ReadError::Changed)
    }

    async fn parts(&mut self) -> Result<Vec<Parts>, ReadError> {
        let count = message::count(&self.take(COUNT_BYTES).await?)?;
        let table = self.take(count * ENTRY_BYTES).await?;
        let entries = message::entries(&table, self.left)?;
        let mut parts = Vec::with_capacity(entries.len());
        for entry in entries {
            let about = self.take(entry.about).await?;
            let rows = self.take(entry.rows).await?;
            parts.push((entry, about, rows));
        }
        Ok(parts)
    }

    /// Takes the next bytes. Never allocates more than the body has.
    async fn take(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        if length > self.left {
            return Err(Malformed("a part that is longer than its body").into());
        }
        let mut taken = Vec::with_capacity(length);
        while taken.len() < length {
            if self.frame.is_empty() {
                self.next_frame().await?;
            }
            let here = self.frame.len().min(length - taken.len());
            taken.extend_from_slice(&self.frame.split_to(here));
        }
        self.left -= length;
        Ok(taken)
    }

    async fn next_frame(&mut self) -> Result<(), ReadError> {
        let frame = self.body.frame().await.ok_or(ReadError::Broken)?;
        let frame = frame.map_err(|_broken| ReadError::Broken)?;
        // Trailers are not ours.
        self.frame = frame.into_data().unwrap_or_default();
        self.hash.update(&self.frame);
        Ok(())
    }

    /// Hashes what is left.
    async fn discard(&mut self) -> Result<(), ReadError> {
        self.left -= self.frame.len().min(self.left);
        while self.left > 0 {
            self.next_frame().await?;
            self.left -= self.frame.len().min(self.left);
        }
        Ok(())
    }
}
