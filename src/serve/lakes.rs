//! The lake that a configuration names.

use std::path::Path;

use tokio::runtime::Handle;

use crate::config::Config;
use crate::console::OpenLake;
use crate::files::Disk;
use crate::lake::Lake;
use crate::lake::conditional::StoreLake;
use crate::lake::destination::Destination;
use crate::lake::directory::Directory;
use crate::lake::reader::LakeReader;
use crate::lake::s3::S3;

/// The lake that the configuration names; no request is made yet. Objects for a store are written below
/// `log_dir`, the directory of the log that is shipped, before they are put.
pub async fn lake_of(config: &Config, log_dir: &Path, runtime: Handle) -> Lake<Disk> {
    let location = match config.lake.destination() {
        Destination::Directory(root) => return Lake::Directory(Directory::new(Disk, root)),
        Destination::Bucket(location) => location,
    };
    let identity = match &location.endpoint {
        None => config.lake.url.to_string(),
        Some(endpoint) => format!("{} at {}", config.lake.url, endpoint.url),
    };
    let store = S3::new(*location, runtime).await;
    let spool = log_dir.join("spool");
    Lake::Store(StoreLake::new(Disk, Box::new(store), identity, &spool))
}

/// Opens the same lake for reading, when somebody first looks into it.
pub(super) fn lake_opener(config: &Config) -> OpenLake {
    let lake = config.lake.clone();
    Box::new(move || {
        let lake = lake.clone();
        Box::pin(async move { LakeReader::open(lake.destination()).await })
    })
}
