//! The logs of a configuration, wherever they are, as commands look at them.

use std::io;

use crate::config::Config;
use crate::erase::key;
use crate::erase::landing::Look;
use crate::erase::request::ErasureKey;
use crate::files::Disk;
use crate::ids::Ids;
use crate::serve::LogRole;
use crate::serve::home::place_of;
use crate::serve::inspection::{in_replica, inspect_log};
use crate::wal::journal::replica::engine::{Engine as _, Item, PutVerdict, insist};

/// Looks into these logs.
pub(super) fn looks(config: &Config, roles: &[LogRole]) -> Vec<Look<'static>> {
    let look = |(config, role): (Config, LogRole)| -> Look<'static> {
        Box::new(move || inspect_log(&config, role))
    };
    let logs = roles.iter().flat_map(|role| configs(config, *role));
    logs.map(look).collect()
}

/// A configuration for each log of a role, with the role: there may be several of events.
pub(super) fn configs(config: &Config, role: LogRole) -> Vec<(Config, LogRole)> {
    let configs = match role {
        LogRole::Events => config.of_logs(),
        LogRole::Feeds => vec![config.clone()],
    };
    configs.into_iter().map(|config| (config, role)).collect()
}

/// Name of the item that holds the key of erasures, in a log that is kept in a replica.
const KEY_ITEM: &str = "erasure.key";

/// The key of the HMACs of erasures, which stands beside the log of events and is made once.
pub(super) fn erasure_key(config: &Config, ids: &Ids) -> io::Result<ErasureKey> {
    let Some(place) = place_of(config, LogRole::Events) else {
        return key::read_or_create(&Disk, &config.wal.dir, ids);
    };
    let drawn = key::draw(ids)?;
    in_replica(&place, move |engine, keep_trying| {
        let item = Item::File(KEY_ITEM);
        let text = key::encode(&drawn);
        let put = insist(keep_trying, || engine.put_new(item, text.as_bytes()))?;
        if put == PutVerdict::Stored {
            return Ok(drawn);
        }
        let there = insist(keep_trying, || engine.read(item))?.unwrap_or_default();
        key::decode(&there).ok_or_else(|| {
            io::Error::other(format!(
                "{KEY_ITEM} in {} is damaged; with another key, notes of earlier erasures are not recognised",
                engine.name()
            ))
        })
    })
}
