//! Reads a lake as any other program does: which keys there are, and their bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::destination::Destination;
use super::keys::{INTERNAL, sidecar_key};
use super::object::Metadata;
use super::parts::ObjectParts;
use super::proof::measure;
use super::s3::S3;
use super::sidecar::Sidecar;
use super::stamp::Stamp;
use super::store::StoreError;
use lakehook_base::clock::Micros;

/// Reads a lake, and changes nothing in it.
#[derive(Clone)]
pub enum LakeReader {
    /// A directory.
    Directory(PathBuf),
    /// A bucket.
    Bucket(Arc<S3>),
}

/// Why a lake cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LakeReadError {
    /// A directory, or the content of an object, could not be read.
    #[error("failed to read the lake: {0}")]
    Io(#[from] io::Error),
    /// A bucket could not be read.
    #[error("failed to read the lake: {}", .0.message)]
    Store(StoreError),
}

impl From<StoreError> for LakeReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is said of an object, and how long it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Its size.
    pub bytes: u64,
    /// The size that the sidecar of a directory lake says, if there is one.
    pub declared: Option<u64>,
    /// What is said of it; nothing where there is no sidecar.
    pub metadata: Metadata,
}

/// While an object is exchanged, its length and its sidecar may be read before and after.
const LOOKS: u32 = 3;

/// Looks at an object of a directory lake.
pub fn look_at_file(root: &Path, key: &str) -> io::Result<Option<Looked>> {
    let path = root.join(key);
    let mut looked = Looked::default();
    for _ in 0..LOOKS {
        looked.bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.len(),
        };
        let sidecar = read_file(&root.join(format!("{INTERNAL}/meta/{key}.json")));
        let sidecar = sidecar
            .ok()
            .and_then(|text| serde_json::from_slice::<Sidecar>(&text).ok());
        let Some(sidecar) = sidecar else {
            looked.declared = None;
            looked.metadata = Metadata::new();
            return Ok(Some(looked));
        };
        let claims = sidecar.claims_for(looked.bytes, || {
            Ok::<_, io::Error>(measure(open(&path)?)?.crc)
        })?;
        looked.declared = Some(claims.bytes);
        looked.metadata.clone_from(&claims.metadata);
        if claims.bytes == looked.bytes {
            break;
        }
    }
    Ok(Some(looked))
}

/// Whether the object of a directory lake is a parcel, by its sidecar; the object itself need not be there.
pub fn is_parcel_file(root: &Path, key: &str) -> bool {
    let sidecar = read_file(&root.join(sidecar_key(key))).ok();
    let sidecar = sidecar.and_then(|text| serde_json::from_slice::<Sidecar>(&text).ok());
    sidecar.is_some_and(|sidecar| {
        let stamp = Stamp::from_metadata(&sidecar.claims.metadata);
        stamp.is_ok_and(|stamp| stamp.parcel_of.is_some())
    })
}

impl LakeReader {
    /// Opens the lake at a destination. Must be called in a runtime.
    pub async fn open(destination: Destination<'_>) -> Self {
        match destination {
            Destination::Directory(root) => Self::Directory(root.to_owned()),
            Destination::Bucket(location) => {
                let runtime = tokio::runtime::Handle::current();
                Self::Bucket(Arc::new(S3::new(*location, runtime).await))
            }
        }
    }

    /// Keys below a prefix, relative to the lake, in order. Keys that end with a slash are left
    /// out: consoles create such objects to show a folder, and they are not data.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, LakeReadError> {
        self.keys_up_to(prefix, usize::MAX).await
    }

    /// The same, but at most about `max` of a bucket.
    pub async fn keys_up_to(&self, prefix: &str, max: usize) -> Result<Vec<String>, LakeReadError> {
        match self {
            Self::Directory(root) => Ok(keys_below(root, prefix)?),
            Self::Bucket(store) => {
                let mut keys = store.list(prefix, max).await?;
                keys.retain(|key| !key.is_empty() && !key.ends_with('/'));
                Ok(keys)
            }
        }
    }

    /// Objects below a prefix with their sizes, in the order of their keys; at most about `max`.
    pub async fn sizes(
        &self,
        prefix: &str,
        max: usize,
    ) -> Result<Vec<(String, u64)>, LakeReadError> {
        match self {
            Self::Directory(root) => Ok(sizes_below(root, prefix, max)?),
            Self::Bucket(store) => {
                let mut listed = store.list_sizes(prefix, max).await?;
                listed.retain(|(key, _)| !key.is_empty() && !key.ends_with('/'));
                Ok(listed)
            }
        }
    }

    /// What is said of an object; `None` if there is no such object.
    pub async fn look(&self, key: &str) -> Result<Option<Looked>, LakeReadError> {
        match self {
            Self::Directory(root) => Ok(look_at_file(root, key)?),
            Self::Bucket(store) => Ok(store.head_async(key).await?.map(|head| Looked {
                bytes: head.bytes,
                declared: None,
                metadata: head.metadata,
            })),
        }
    }

    /// An object of so many bytes, to be read in parts. It is read on the thread that asks, which must not be one of the
    /// runtime's own.
    pub fn object(&self, key: &str, bytes: u64) -> io::Result<ObjectParts> {
        match self {
            Self::Directory(root) => Ok(ObjectParts::File(open(&root.join(key))?)),
            Self::Bucket(store) => Ok(ObjectParts::stored(Arc::clone(store), key, bytes)),
        }
    }

    /// When an object was put, or changed last; `None` if there is no such object.
    pub async fn modified(&self, key: &str) -> Result<Option<Micros>, LakeReadError> {
        match self {
            Self::Directory(root) => match std::fs::metadata(root.join(key)) {
                Ok(metadata) => {
                    let since = metadata.modified()?.duration_since(UNIX_EPOCH);
                    let micros = since
                        .ok()
                        .and_then(|since| i64::try_from(since.as_micros()).ok());
                    Ok(micros.map(Micros))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Bucket(store) => Ok(store.modified(key).await?),
        }
    }

    /// The bytes of an object; `None` if there is no such object.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, LakeReadError> {
        match self {
            Self::Directory(root) => match read_file(&root.join(key)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Bucket(store) => {
                let mut bytes = Vec::new();
                let there = store.get_async(key, &mut bytes).await?;
                Ok(there.then_some(bytes))
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
fn open(path: &Path) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// The bytes of a file of a directory lake.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn sizes_below(lake: &Path, prefix: &str, max: usize) -> io::Result<Vec<(String, u64)>> {
    let mut sizes = Vec::new();
    for key in keys_below(lake, prefix)?.into_iter().take(max) {
        match std::fs::metadata(lake.join(&key)) {
            Ok(metadata) => sizes.push((key, metadata.len())),
            // It was removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sizes)
}

/// Keys of all files below a prefix of a directory lake, sorted.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn keys_below(lake: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut left = vec![lake.join(prefix)];
    while let Some(dir) = left.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if let Ok(key) = path.strip_prefix(lake) {
                keys.push(key.to_string_lossy().into_owned());
            }
        }
    }
    keys.sort();
    Ok(keys)
}
