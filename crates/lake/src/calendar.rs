//! Which objects the streams of a lake have, day by day: how many, how large, and the newest of them.
//!
//! Bounded by days and by objects: days are read from the newest on, until there are enough.

use super::keys::holder_of;
use super::reader::{LakeReadError, LakeReader};

/// At most so many objects of a stream are counted.
const MAX_OBJECTS: usize = 20_000;
/// So many of the newest ones are named.
const MAX_NEWEST: usize = 20;

/// A day of a stream, and the prefix below which its objects lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayPrefix {
    /// The day, such as `2026-11-29`.
    pub day: String,
    /// The prefix of its objects, without a slash at its end.
    pub prefix: String,
}

/// What a stream has on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCount {
    /// The day.
    pub day: String,
    /// How many objects there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An object with its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
}

/// What a stream has in the last days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamDays {
    /// The stream, as the prefix of its keys.
    pub stream: String,
    /// Its days, the newest first.
    pub days: Vec<DayCount>,
    /// Its newest objects, the newest first.
    pub newest: Vec<ListedObject>,
    /// Whether older days were left out, because there are too many objects.
    pub is_cut: bool,
}

impl StreamDays {
    /// Lists a stream. `days` begin with the newest.
    pub async fn read(
        place: &LakeReader,
        stream: &str,
        days: &[DayPrefix],
    ) -> Result<Self, LakeReadError> {
        let mut own = Self {
            stream: stream.to_owned(),
            ..Self::default()
        };
        let mut left = MAX_OBJECTS;
        for DayPrefix { day, prefix } in days {
            if left == 0 {
                own.is_cut = true;
                break;
            }
            let mut objects = place.sizes(prefix, left).await?;
            objects.retain(|(key, _)| holder_of(key).is_some());
            left = left.saturating_sub(objects.len());
            own.days.push(DayCount {
                day: day.clone(),
                objects: objects.len() as u64,
                bytes: objects.iter().map(|(_, bytes)| bytes).sum(),
            });
            // The last row that was put has the highest LSN, whatever its folder below that of the day.
            objects.sort_by_key(|(key, _)| std::cmp::Reverse(holder_of(key).map(|(_, lsn)| lsn)));
            let room = MAX_NEWEST - own.newest.len();
            let newest = objects.into_iter().take(room);
            own.newest
                .extend(newest.map(|(key, bytes)| ListedObject { key, bytes }));
        }
        Ok(own)
    }

    /// All objects that were counted.
    pub fn objects(&self) -> u64 {
        self.days.iter().map(|day| day.objects).sum()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.days.iter().map(|day| day.bytes).sum()
    }
}

/// The newest objects of a stream, the newest first. `days` begin with the newest.
pub async fn newest_objects(
    place: &LakeReader,
    days: &[DayPrefix],
    max: usize,
) -> Result<Vec<ListedObject>, LakeReadError> {
    let mut newest = Vec::new();
    for DayPrefix { prefix, .. } in days {
        if newest.len() >= max {
            break;
        }
        let mut objects = place.sizes(prefix, MAX_OBJECTS).await?;
        objects.retain(|(key, _)| holder_of(key).is_some());
        objects.sort_by_key(|(key, _)| std::cmp::Reverse(holder_of(key).map(|(_, lsn)| lsn)));
        newest.extend(
            objects
                .into_iter()
                .map(|(key, bytes)| ListedObject { key, bytes }),
        );
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "tests look at real files"
    )]
    use super::*;

    #[tokio::test]
    async fn days_are_counted_from_the_newest_on() {
        let dir = tempfile::tempdir().unwrap();
        let put = |key: &str, bytes: usize| {
            let path = dir.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; bytes]).unwrap();
        };
        for (day, lsn, bytes) in [("28", 1, 10), ("29", 7, 20), ("29", 3, 30)] {
            put(
                &format!("events/dt=2026-11-{day}/00000000000000ab-{lsn:020}.ndjson"),
                bytes,
            );
        }
        put(
            "events/dt=2026-11-29/hour=05/00000000000000ab-00000000000000000009.ndjson",
            1,
        );
        put("events/dt=2026-11-29/README.md", 999);
        let place = LakeReader::Directory(dir.path().to_owned());
        let days = ["29", "28", "27"].map(|day| DayPrefix {
            day: format!("2026-11-{day}"),
            prefix: format!("events/dt=2026-11-{day}"),
        });
        let read = StreamDays::read(&place, "events", &days).await.unwrap();
        let counts: Vec<(u64, u64)> = read
            .days
            .iter()
            .map(|day| (day.objects, day.bytes))
            .collect();
        assert_eq!(counts, [(3, 51), (1, 10), (0, 0)]);
        assert_eq!((read.objects(), read.bytes(), read.is_cut), (4, 61, false));
        let newest: Vec<u64> = read.newest.iter().map(|object| object.bytes).collect();
        assert_eq!(newest, [1, 20, 30, 10]);
    }
}
