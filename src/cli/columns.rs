//! The columns of polls without a schema, as notes in the lake say.

use crate::lake::keys;
use crate::lake::reader::LakeReader;
use crate::ship::ColumnsNote;
use crate::tables::{StreamTable, Tables};

/// Adds the columns that notes in the lake name: another machine may have found them.
pub(super) async fn learn(place: &LakeReader, tables: &Tables) -> anyhow::Result<()> {
    for (stream, table) in tables.streams() {
        let StreamTable::Growing(growing) = table else {
            continue;
        };
        for key in place.keys(&keys::columns_prefix(stream)).await? {
            let text = place.read(&key).await?.unwrap_or_default();
            // What cannot be read is passed over, as the nodes do.
            if let Ok(note) = serde_json::from_slice::<ColumnsNote>(&text) {
                growing.live.adopt(&note.columns);
            }
        }
    }
    Ok(())
}
