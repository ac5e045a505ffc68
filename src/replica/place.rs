//! Where a log is kept, and the way there.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::bucket::BucketEngine;
use super::nats::StreamPlace;
use super::stream::StreamEngine;

use crate::lake::LakeError;
use crate::lake::s3::{Location, S3};
use crate::wal::journal::replica::engine::{Engine, EngineError, Item, PutVerdict};

/// Where a log is kept.
#[derive(Clone, Debug)]
pub enum ReplicaPlace {
    /// Under a prefix of a bucket.
    Bucket(Box<Location>),
    /// In a stream of NATS.
    Stream(StreamPlace),
}

impl ReplicaPlace {
    /// The name of the log, for messages and for the mark of its copies.
    pub fn name(&self) -> String {
        match self {
            Self::Bucket(location) => {
                let Location { bucket, prefix, .. } = &**location;
                match &location.endpoint {
                    None => format!("s3://{bucket}/{prefix}"),
                    Some(endpoint) => format!("s3://{bucket}/{prefix} at {}", endpoint.url),
                }
            }
            Self::Stream(place) => place.name(),
        }
    }

    /// Prepares the way there; requests are sent by the runtime.
    pub async fn reach(self, runtime: Handle) -> ReplicaAccess {
        let name = self.name();
        match self {
            Self::Bucket(location) => {
                let store = Arc::new(S3::new(*location, runtime).await);
                ReplicaAccess::Bucket(store, name)
            }
            Self::Stream(place) => ReplicaAccess::Stream(place, runtime),
        }
    }
}

/// The way to where a log is kept.
pub enum ReplicaAccess {
    /// A bucket, and the name of the log in it.
    Bucket(Arc<S3>, String),
    /// A stream, and the runtime that sends requests.
    Stream(StreamPlace, Handle),
}

impl ReplicaAccess {
    /// The engine, which is probed by harmless writes, and refused if it cannot keep a log. `unique` is a random
    /// number. Blocks.
    pub fn open(&self, unique: u64) -> Result<LogEngine, LakeError> {
        match self {
            Self::Bucket(store, name) => {
                let store = Box::new(Arc::clone(store));
                BucketEngine::open(store, name.clone(), unique).map(LogEngine::Bucket)
            }
            Self::Stream(place, runtime) => {
                StreamEngine::open(place.clone(), runtime.clone(), unique).map(LogEngine::Stream)
            }
        }
    }

    /// The same for whoever only reads, without a probe. Blocks.
    pub fn open_for_reading(&self) -> Result<LogEngine, LakeError> {
        Ok(match self {
            Self::Bucket(store, name) => {
                let store = Box::new(Arc::clone(store));
                LogEngine::Bucket(BucketEngine::for_reading(store, name.clone()))
            }
            Self::Stream(place, runtime) => {
                LogEngine::Stream(StreamEngine::for_reading(place.clone(), runtime.clone())?)
            }
        })
    }
}

/// Whichever engine keeps a log. Cheap to clone.
#[derive(Clone)]
pub enum LogEngine {
    /// A bucket.
    Bucket(BucketEngine),
    /// A stream.
    Stream(StreamEngine),
}

impl Engine for LogEngine {
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError> {
        match self {
            Self::Bucket(engine) => engine.put_new(item, bytes),
            Self::Stream(engine) => engine.put_new(item, bytes),
        }
    }

    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        match self {
            Self::Bucket(engine) => engine.read(item),
            Self::Stream(engine) => engine.read(item),
        }
    }

    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError> {
        match self {
            Self::Bucket(engine) => engine.frames(first),
            Self::Stream(engine) => engine.frames(first),
        }
    }

    fn files(&self) -> Result<Vec<String>, EngineError> {
        match self {
            Self::Bucket(engine) => engine.files(),
            Self::Stream(engine) => engine.files(),
        }
    }

    fn delete(&self, item: Item<'_>) -> Result<(), EngineError> {
        match self {
            Self::Bucket(engine) => engine.delete(item),
            Self::Stream(engine) => engine.delete(item),
        }
    }

    fn make_room(&self) -> Result<(), EngineError> {
        match self {
            Self::Bucket(engine) => engine.make_room(),
            Self::Stream(engine) => engine.make_room(),
        }
    }

    fn has_room(&self) -> Result<bool, EngineError> {
        match self {
            Self::Bucket(engine) => engine.has_room(),
            Self::Stream(engine) => engine.has_room(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Bucket(engine) => engine.name(),
            Self::Stream(engine) => engine.name(),
        }
    }

    fn beside(&self) -> u64 {
        match self {
            Self::Bucket(engine) => engine.beside(),
            Self::Stream(engine) => engine.beside(),
        }
    }
}
