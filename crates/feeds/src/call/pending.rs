//! What is pending of a call: the chunks that were decided on and whose answers are not in the log. Durable
//! before the first of them is sent, so that each is sent again exactly as it was.

use std::io;

use super::chunk::Chunk;
use lakehook_base::clock::Micros;
use lakehook_base::side_files::SideFiles;

/// Name of the directory within that of the log.
pub(super) const DIRECTORY: &str = "calls";
/// A chunk has at most 8 MiB, and JSON in JSON may be twice as long.
const MAX_BYTES: u64 = 64 << 20;

/// The chunks of one call that are pending, the next one last.
#[derive(Debug)]
pub(super) struct Pending {
    beside: SideFiles,
    name: String,
    chunks: Vec<Chunk>,
}

impl Pending {
    /// Reads what is pending of a call, beside the log, whose lock is held.
    pub(super) fn read(beside: &SideFiles, call: &str) -> io::Result<Self> {
        let name = format!("{DIRECTORY}/{call}.pending");
        let chunks = match beside.read(&name, MAX_BYTES)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => Vec::new(),
        };
        Ok(Self {
            beside: beside.clone(),
            name,
            chunks,
        })
    }

    /// The next chunk.
    pub(super) fn next(&self) -> Option<&Chunk> {
        self.chunks.last()
    }

    /// All of them, the next one last.
    pub(super) fn all(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Decides on a chunk, durably.
    pub(super) fn decide(&mut self, chunk: Chunk) -> io::Result<()> {
        self.chunks.push(chunk);
        self.write()
    }

    /// Replaces the next chunk by two, durably: it was refused as a whole.
    pub(super) fn halve(&mut self, (left, right): (Chunk, Chunk)) -> io::Result<()> {
        self.chunks.pop();
        self.chunks.extend([right, left]);
        self.write()
    }

    /// Decides on the next chunk anew, durably: the same rows under the same key, at this time.
    pub(super) fn renew(&mut self, now: Micros) -> io::Result<()> {
        if let Some(next) = self.chunks.last_mut() {
            next.decided = now.0;
        }
        self.write()
    }

    /// The answer to the next chunk is in the log, which is remembered there.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.chunks.pop();
        if self.chunks.is_empty() {
            // Nor does a power cut bring it back: the log may have forgotten it by then.
            return self.beside.remove(&self.name);
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.chunks)?;
        self.beside.replace(&self.name, &bytes)?;
        // What is sent next must be known to whoever owns the log then.
        self.beside.confirm()
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::Group;
    use super::*;

    fn chunk(key: &str) -> Chunk {
        let group = Group {
            key: format!("\"{key}\""),
            rows: vec!["{}".to_owned()],
            ..Group::default()
        };
        Chunk::new(vec![group], key, Micros(5))
    }

    #[test]
    fn what_was_decided_outlives_the_process() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let log = SideFiles::within(dir.path());
        let mut pending = Pending::read(&log, "ihc")?;
        assert_eq!(pending.next(), None);
        pending.decide(chunk("whole"))?;
        assert_eq!(Pending::read(&log, "ihc")?.next(), Some(&chunk("whole")));
        pending.renew(Micros(7))?;
        let renewed = Pending::read(&log, "ihc")?;
        let renewed = renewed.next().map(|next| (next.decided, next.key.clone()));
        assert_eq!(renewed, Some((7, chunk("whole").key)));
        pending.halve((chunk("left"), chunk("right")))?;
        let mut again = Pending::read(&log, "ihc")?;
        assert_eq!(again.all(), [chunk("right"), chunk("left")]);
        assert_eq!(Pending::read(&log, "other")?.next(), None);
        again.settle()?;
        assert_eq!(again.next(), Some(&chunk("right")));
        again.settle()?;
        assert_eq!(Pending::read(&log, "ihc")?.next(), None);
        Ok(())
    }
}
