//! A bucket as an inbox: objects are known by their key and their ETag, never by a time.
//!
//! An object is copied into a local file without a name before it is read, and only as the version that was listed.
//! So a broken answer is asked for again, and nothing of a key ever becomes a local path.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use xxhash_rust::xxh3::xxh3_128;

use super::folder::{DONE, FAILED, FoundFile, Listing, MAX_FILES, MAX_NAMES, OpenFile};
use super::pattern::{PathPattern, fits};
use lakehook_base::clock::Micros;
use lakehook_base::files::{Disk, Files as _, remove_if_there};
use lakehook_base::ids::Ids;
use lakehook_lake::s3::{Location, S3};
use lakehook_lake::store::{
    Body, BodyCheck, Condition, Head, ObjectStore as _, Put, PutAnswer, StoreError,
};
use lakehook_lake::{Assembled, Metadata};

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A bucket with patterns of keys.
pub(crate) struct Bucket {
    /// The bucket, and the prefix before the first pattern.
    location: Location,
    pattern: PathPattern,
    /// Patterns of names that are passed over.
    ignore: Vec<String>,
    /// Whether `done/` and `failed/` are passed over.
    moves: bool,
    client: OnceLock<Arc<S3>>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}

fn other(error: &StoreError) -> io::Error {
    io::Error::other(error.message.clone())
}

fn version_of(etag: &str, bytes: u64) -> u128 {
    xxh3_128(format!("{etag} {bytes}").as_bytes())
}

impl Bucket {
    /// The objects below the location whose keys fit.
    pub(crate) fn new(
        location: Location,
        pattern: PathPattern,
        ignore: Vec<String>,
        moves: bool,
    ) -> Self {
        Self {
            location,
            pattern,
            ignore,
            moves,
            client: OnceLock::new(),
        }
    }

    /// The client. Called on threads that may block.
    fn client(&self) -> Arc<S3> {
        let client = self.client.get_or_init(|| {
            let runtime = Handle::current();
            Arc::new(runtime.block_on(S3::new(self.location.clone(), runtime.clone())))
        });
        Arc::clone(client)
    }

    /// Tries a request again while it fails.
    fn retried<T>(&self, ask: impl Fn(&S3) -> Result<T, StoreError>) -> io::Result<T> {
        let client = self.client();
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match ask(&client) {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::debug!(error = error.message, "an inbox does not answer"),
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        ask(&client).map_err(|error| other(&error))
    }

    pub(crate) fn list(&self) -> io::Result<Listing> {
        let runtime = Handle::current();
        let objects = self.retried(|client| runtime.block_on(client.objects("", MAX_FILES + 1)))?;
        if objects.len() > MAX_FILES {
            return Err(io::Error::other(format!(
                "there are more than {MAX_FILES} objects; set after = \"move\", or use several inboxes"
            )));
        }
        let mut listing = Listing::default();
        for object in objects {
            let parts: Vec<&str> = object.key.split('/').collect();
            let is_ignored = parts
                .iter()
                .any(|part| self.ignore.iter().any(|pattern| fits(pattern, part)));
            let (_, dirs) = parts.split_last().unwrap_or((&"", &[]));
            let is_away = self.moves && dirs.iter().any(|dir| [DONE, FAILED].contains(dir));
            if self.pattern.fits(&parts) && !is_ignored && !is_away {
                listing.files.push(FoundFile {
                    version: version_of(&object.etag, object.bytes),
                    bytes: object.bytes,
                    modified: Micros(0),
                    tag: object.etag,
                    name: object.key,
                });
            }
        }
        listing.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// Copies the version of an object that was listed; `None` if it is gone or another one.
    pub(crate) fn open(&self, wanted: &FoundFile) -> io::Result<Option<OpenFile>> {
        let runtime = Handle::current();
        let number = Ids::System.next_u128()?;
        let path = std::env::temp_dir().join(format!("lakehook-{number:032x}.part"));
        let file = Disk.create_new(&path)?;
        // Without a name, it goes with the last descriptor.
        remove_if_there(&Disk, &path)?;
        let copied = self.retried(|client| {
            let begin = || -> io::Result<()> {
                file.set_len(0)?;
                (&file).rewind()
            };
            begin().map_err(|error| local(&error))?;
            let mut out = BufWriter::with_capacity(256 << 10, &file);
            let there = runtime.block_on(client.version(&wanted.name, &wanted.tag, &mut out))?;
            out.flush().map_err(|error| local(&error))?;
            Ok(there)
        })?;
        (&file).rewind()?;
        Ok(copied.then(|| OpenFile {
            file,
            found: wanted.clone(),
            is_copy: true,
        }))
    }

    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        let runtime = Handle::current();
        let head = self.retried(|client| runtime.block_on(client.head_async(name)))?;
        Ok(head.is_some())
    }

    /// Moves an object into a folder beside it, unless it has become another one: it is put there from a copy, under
    /// the condition that the name is free, and then removed. If the name is taken, it gets a number.
    pub(crate) fn move_into(&self, wanted: &FoundFile, into: &str) -> io::Result<bool> {
        let Some(open) = self.open(wanted)? else {
            return Ok(false);
        };
        let copy: Arc<dyn Assembled> = Arc::new(Copied(open.file));
        let (dir, last) = match wanted.name.rsplit_once('/') {
            Some((dir, last)) => (format!("{dir}/"), last),
            None => (String::new(), wanted.name.as_str()),
        };
        for number in 0..MAX_NAMES {
            let name = match number {
                0 => format!("{dir}{into}/{last}"),
                number => format!("{dir}{into}/{last}.{number}"),
            };
            if self.put_away(wanted, &copy, &name)? {
                return self.remove(wanted);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{MAX_NAMES} objects of its name are in {into}/ already"),
        ))
    }

    /// Puts a copy of an object under a name; `false` if something else is there.
    fn put_away(
        &self,
        wanted: &FoundFile,
        copy: &Arc<dyn Assembled>,
        name: &str,
    ) -> io::Result<bool> {
        let runtime = Handle::current();
        // An earlier attempt may have put it, and broken off.
        let is_ours = |there: &Head| {
            let tag = there.evidence.etag.as_deref();
            there.bytes == wanted.bytes && tag == Some(plain_tag(&wanted.tag))
        };
        let look = || self.retried(|client| runtime.block_on(client.head_async(name)));
        if let Some(there) = look()? {
            return Ok(is_ours(&there));
        }
        let put = Put {
            key: name,
            body: Body::Assembled(copy, wanted.bytes),
            check: BodyCheck::Absent,
            content_type: "application/octet-stream",
            metadata: &Metadata::new(),
            condition: Condition::IfAbsent,
        };
        match self.retried(|client| client.put(&put))? {
            PutAnswer::Stored(_) => Ok(true),
            PutAnswer::ConditionFailed => Ok(look()?.is_some_and(|there| is_ours(&there))),
            PutAnswer::Damaged(why) | PutAnswer::Refused(why) => {
                Err(io::Error::other(format!("{name} cannot be put: {why}")))
            }
        }
    }

    /// Removes an object, unless it has become another one meanwhile.
    pub(crate) fn remove(&self, wanted: &FoundFile) -> io::Result<bool> {
        let runtime = Handle::current();
        let head = self.retried(|client| runtime.block_on(client.head_async(&wanted.name)))?;
        let tag = plain_tag(&wanted.tag);
        let is_still = head.is_some_and(|head| head.evidence.etag.as_deref() == Some(tag));
        if is_still {
            self.retried(|client| runtime.block_on(client.remove_object(&wanted.name)))?;
        }
        Ok(is_still)
    }
}

/// An ETag without its quotation marks.
fn plain_tag(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

/// A copy of an object, which is read from its beginning for each attempt.
#[derive(Debug)]
struct Copied(File);

impl Assembled for Copied {
    fn open(self: Arc<Self>) -> Box<dyn Read + Send> {
        Box::new(FromStart { copy: self, at: 0 })
    }
}

/// Reads a copy, wherever others are in it.
struct FromStart {
    copy: Arc<Copied>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.copy.0.read_at(out, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn local(error: &io::Error) -> StoreError {
    StoreError {
        kind: lakehook_lake::Trouble::Other,
        message: format!("a temporary file cannot be written: {error}"),
    }
}
