//! Which files stand still: a file that is still being written is left alone. Pure.

use std::collections::HashMap;
use std::time::Duration;

use lakehook_base::clock::{Micros, Now};

use super::folder::FoundFile;

/// Files that do not stand still for long enough, as they were seen before.
#[derive(Debug, Default)]
pub(crate) struct Settling(HashMap<String, Seen>);

#[derive(Debug)]
struct Seen {
    version: u128,
    /// Since when it was seen like this, by the monotonic clock.
    since: Duration,
    /// Whether it is among the files of this look.
    is_there: bool,
}

impl Settling {
    /// Begins a look.
    pub(crate) fn begin(&mut self) {
        self.0.values_mut().for_each(|seen| seen.is_there = false);
    }

    /// How long it takes until a file has stood still for `settle`; `None` if it has. Its own time counts only if
    /// it is not in the future.
    pub(crate) fn left(
        &mut self,
        file: &FoundFile,
        settle: Duration,
        now: Now,
    ) -> Option<Duration> {
        let by_time = (file.modified <= now.wall).then(|| now.wall.since(file.modified));
        let stood = by_time.unwrap_or_default();
        if settle.is_zero() || stood >= settle {
            self.0.remove(&file.name);
            return None;
        }
        let seen = self.0.entry(file.name.clone()).or_insert(Seen {
            version: file.version,
            since: now.mono,
            is_there: true,
        });
        seen.is_there = true;
        if seen.version != file.version {
            (seen.version, seen.since) = (file.version, now.mono);
        }
        let watched = now.mono.saturating_sub(seen.since);
        match settle.checked_sub(stood.max(watched)) {
            Some(left) if !left.is_zero() => Some(left),
            _ => None,
        }
    }

    /// Ends a look: files that are gone are forgotten.
    pub(crate) fn end(&mut self) {
        self.0.retain(|_, seen| seen.is_there);
    }
}

/// The time before which a file that is gone is forgotten.
pub(crate) fn horizon(now: Micros, remember: Duration) -> Micros {
    now.minus(remember)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u128, modified: i64) -> FoundFile {
        FoundFile {
            name: "a".to_owned(),
            bytes: 1,
            modified: Micros(modified * 1_000_000),
            version,
            tag: String::new(),
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            wall: Micros(i64::try_from(1000 + seconds).unwrap_or(0) * 1_000_000),
            mono: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_file_is_ready_once_it_stands_still() {
        let settle = Duration::from_secs(5);
        let mut settling = Settling::default();
        assert_eq!(settling.left(&file(1, 990), settle, at(0)), None);
        let left = settling.left(&file(1, 998), settle, at(0));
        assert_eq!(left, Some(Duration::from_secs(3)));
        // It was written to meanwhile.
        let left = settling.left(&file(2, 1003), settle, at(4));
        assert_eq!(left, Some(Duration::from_secs(4)));
        assert_eq!(settling.left(&file(2, 1003), settle, at(8)), None);
        assert_eq!(settling.left(&file(3, 2000), Duration::ZERO, at(8)), None);
    }

    #[test]
    fn a_time_in_the_future_is_watched_instead() {
        let settle = Duration::from_secs(5);
        let mut settling = Settling::default();
        settling.begin();
        assert!(settling.left(&file(1, 9_999), settle, at(0)).is_some());
        assert!(settling.left(&file(1, 9_999), settle, at(4)).is_some());
        assert_eq!(settling.left(&file(1, 9_999), settle, at(5)), None);
        settling.begin();
        settling.end();
        assert!(settling.0.is_empty());
    }
}
