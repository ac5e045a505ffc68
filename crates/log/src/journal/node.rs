//! What makes a directory a log of its own: the lock, and the node's id and secret key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use lakehook_base::checksum::crc32c;
use lakehook_base::files::{Files, read_whole, write_durably};
use lakehook_base::ids::{HashKey, Ids, NodeId};

const FILE: &str = "node";
const HEAD: &str = "lakehook node, format 1";
/// Of one log among several; a program that knows only one must not take it for that.
const HEAD_OF_MANY: &str = "lakehook node, format 2";
const MAX_BYTES: u64 = 1024;

/// The persistent identity of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id of the node, which is part of object keys.
    pub id: NodeId,
    /// Secret key of the dedup hashes. All logs of a cluster have the same.
    pub key: HashKey,
    /// Which of the logs of a cluster it is.
    pub ordinal: Ordinal,
}

/// Which of several logs one is that share the rows between them; decided when the log is founded, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinal {
    /// The number of the log, from 0.
    pub number: u16,
    /// How many there are.
    pub of: u16,
}

impl Ordinal {
    /// The only log.
    pub const ONLY: Self = Self { number: 0, of: 1 };
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

/// Reads the node of a directory, or creates one.
pub fn read_or_create<F: Files>(files: &F, dir: &Path, ids: &Ids) -> io::Result<Node> {
    if let Some(node) = read(files, dir)? {
        return Ok(node);
    }
    let node = draw(ids, None, Ordinal::ONLY)?;
    write(files, dir, &node)?;
    Ok(node)
}

/// Draws the identity of a new log, and its key if it is to have one of its own.
pub(crate) fn draw(ids: &Ids, key: Option<HashKey>, ordinal: Ordinal) -> io::Result<Node> {
    let id = NodeId(ids.next()?);
    let key = match key {
        Some(key) => key,
        None => HashKey(ids.next_u128()?.to_le_bytes()),
    };
    Ok(Node { id, key, ordinal })
}

/// Writes the node file of a directory.
pub(crate) fn write<F: Files>(files: &F, dir: &Path, node: &Node) -> io::Result<()> {
    write_durably(files, &dir.join(FILE), encode(node).as_bytes())
}

/// The text of a node file.
pub(crate) fn encode(node: &Node) -> String {
    let key = u128::from_le_bytes(node.key.0);
    let (head, log) = match node.ordinal {
        Ordinal::ONLY => (HEAD, String::new()),
        among => (HEAD_OF_MANY, format!("log = {among}\n")),
    };
    let text = format!("{head}\nid = {}\nkey = {key:032x}\n{log}", node.id);
    format!("{text}crc32c = {:08x}\n", crc32c(text.as_bytes()))
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<Node> {
    std::str::from_utf8(bytes).ok().and_then(parse)
}

/// Reads the node of a directory; `None` if it has none yet.
pub fn read<F: Files>(files: &F, dir: &Path) -> io::Result<Option<Node>> {
    let path = dir.join(FILE);
    let bytes = match read_whole(files, &path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    decode(&bytes).map(Some).ok_or_else(|| {
        let message = format!("{} is not a node file of format 1 or 2", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

fn parse(text: &str) -> Option<Node> {
    // Without the checksum, a changed digit would make another node or forget all duplicates, and
    // nobody would notice.
    let (said, crc) = text.split_once("crc32c = ")?;
    if crc != format!("{:08x}\n", crc32c(said.as_bytes())) {
        return None;
    }
    let mut lines = text.lines();
    let is_of_many = match lines.next()? {
        HEAD => false,
        HEAD_OF_MANY => true,
        _ => return None,
    };
    let id = u64::from_str_radix(lines.next()?.strip_prefix("id = ")?, 16).ok()?;
    let key = u128::from_str_radix(lines.next()?.strip_prefix("key = ")?, 16).ok()?;
    let ordinal = if is_of_many {
        let (number, of) = lines.next()?.strip_prefix("log = ")?.split_once(" of ")?;
        Ordinal {
            number: number.parse().ok()?,
            of: of.parse().ok()?,
        }
    } else {
        Ordinal::ONLY
    };
    Some(Node {
        id: NodeId(id),
        key: HashKey(key.to_le_bytes()),
        ordinal,
    })
}

/// The lock of a directory, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has the lock.
    #[error("{} is in use by process {holder}; two processes cannot share a log", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// Process id that the holder wrote into the lock file.
        holder: String,
    },
    /// The operating system returned an error.
    #[error("failed to lock {}: {error}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a directory that exists. It is an advisory lock, so it needs the real file
    /// system and ends with its process.
    #[allow(
        clippy::disallowed_methods,
        reason = "a lock is not data: simulations have none"
    )]
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        use std::io::{Read as _, Write as _};
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = dir.join("LOCK");
        let io = |error| LockError::Io {
            path: path.clone(),
            error,
        };
        let mut options = std::fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _unreadable = file.read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(LockError::Held {
                    path: dir.to_owned(),
                    holder,
                });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakehook_base::files::Disk;

    #[test]
    fn a_node_stays_the_same() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let first = read_or_create(&Disk, dir.path(), &Ids::System)?;
        assert_eq!(read_or_create(&Disk, dir.path(), &Ids::System)?, first);
        Ok(())
    }

    #[test]
    fn a_log_among_several_comes_back_and_is_nothing_to_a_program_that_knows_one() {
        let alone = Node {
            id: NodeId(7),
            key: HashKey([9; 16]),
            ordinal: Ordinal::ONLY,
        };
        assert_eq!(decode(encode(&alone).as_bytes()), Some(alone));
        assert!(encode(&alone).starts_with("lakehook node, format 1\nid = "));
        let ordinal = Ordinal { number: 2, of: 3 };
        let third = Node { ordinal, ..alone };
        let text = encode(&third);
        assert_eq!(decode(text.as_bytes()), Some(third));
        assert!(text.starts_with("lakehook node, format 2\nid = "), "{text}");
        assert!(text.contains("\nlog = 2 of 3\n"), "{text}");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test damages a file")]
    fn a_node_with_another_digit_is_refused() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(FILE);
        read_or_create(&Disk, dir.path(), &Ids::System)?;
        let whole = std::fs::read(&path)?;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged)?;
            assert!(read(&Disk, dir.path()).is_err(), "byte {at}");
        }
        Ok(())
    }

    #[test]
    fn a_second_lock_names_the_holder() -> Result<(), LockError> {
        let Ok(dir) = tempfile::tempdir() else {
            return Ok(());
        };
        let first = Lock::take(dir.path())?;
        let second = Lock::take(dir.path()).map(drop);
        let message = second.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        drop(first);
        Lock::take(dir.path()).map(drop)
    }
}
