//! What every feed uses: the log of all feeds, and the seams.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::door::Writing;
use super::host::Host;
use lakehook_base::clock::Clock;
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::Fingerprint;
use lakehook_base::side_files::SideFiles;
use lakehook_lake::reader::LakeReader;
use lakehook_log::log::Log;

/// What every feed uses. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The log of all feeds.
    pub log: Log,
    /// The files beside the log, whose lock is held.
    pub beside: SideFiles,
    /// The node that the log belongs to.
    pub node: NodeId,
    /// Computes the identities of records.
    pub fingerprint: Fingerprint,
    /// Identity of the lake that rows are shipped to.
    pub lake: String,
    /// Reads that lake, if a poll needs it.
    pub lake_reader: Option<Arc<LakeReader>>,
    /// How objects are put that do not pass the log.
    pub writing: Writing,
    /// Cursors that were in the log when it was opened, by stream.
    pub cursors: Arc<BTreeMap<String, Vec<u8>>>,
    /// The process around the feeds: whether rows can be stored, and counters.
    pub host: Arc<dyn Host>,
    /// Source of the time.
    pub clock: Clock,
    /// Source of randomness.
    pub ids: Ids,
    /// Whether this is a service: then runs begin on schedule, and commands may ask for more. A one-shot
    /// command runs only what it asks for itself.
    pub is_service: bool,
}
