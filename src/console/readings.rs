//! What is read beside the pages: objects and listings of the lake, which may take longer than a page may.
//!
//! A page waits a moment. If that is not enough, it shows what is known, and is loaded again; the reading goes on, once
//! for all who ask. What was read is kept for others, within bounds. Nothing is read unless somebody looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a page waits for a reading.
const PATIENCE: Duration = Duration::from_millis(100);

/// The tasks that read, which end with the console.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    pub(super) tasks: TaskTracker,
    pub(super) closing: CancellationToken,
}

/// What was read, by key.
pub(super) struct Readings<K, V> {
    entries: Mutex<Vec<Entry<K, V>>>,
    /// Told whenever a reading ends.
    ended: Notify,
    /// So many are kept.
    max: usize,
}

struct Entry<K, V> {
    key: K,
    value: Option<Result<Arc<V>, String>>,
    /// When the last reading ended, by the monotonic clock.
    read_at: Option<Duration>,
    is_under_way: bool,
}

/// What a page can show.
pub(super) struct Looked<V> {
    /// What is known, or why nothing is.
    pub(super) value: Option<Result<Arc<V>, String>>,
    /// Whether more is on its way.
    pub(super) is_under_way: bool,
}

impl<V> Looked<V> {
    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&V> {
        self.value.as_ref()?.as_deref().ok()
    }

    /// Why there is none, if reading failed.
    pub(super) fn error(&self) -> Option<&str> {
        self.value.as_ref()?.as_ref().err().map(String::as_str)
    }
}

impl<K, V> Readings<K, V>
where
    K: Clone + PartialEq + Send + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps at most so many.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::default(),
            ended: Notify::new(),
            max,
        })
    }

    /// Shows what is known so far, while a reading goes on.
    pub(super) fn publish(&self, key: &K, value: V) {
        self.with(key, |entry| entry.value = Some(Ok(Arc::new(value))));
    }

    /// Reads if nothing is known that is at most `max_age` old, and waits a moment for it. `read` gets what was read
    /// before.
    pub(super) async fn look<F>(
        self: &Arc<Self>,
        beside: &Beside,
        key: K,
        (now, max_age): (Duration, Duration),
        read: impl FnOnce(Option<Arc<V>>) -> F,
    ) -> Looked<V>
    where
        F: Future<Output = Result<V, String>> + Send + 'static,
    {
        let (begins, before) = self.with(&key, |entry| {
            let is_fresh = entry
                .read_at
                .is_some_and(|at| now.saturating_sub(at) <= max_age);
            let begins = !is_fresh && !entry.is_under_way;
            entry.is_under_way |= begins;
            let before = entry.value.as_ref().and_then(|value| value.as_ref().ok());
            (begins, before.cloned())
        });
        if begins {
            let reading = read(before);
            let (readings, own, closing) = (Arc::clone(self), key.clone(), beside.closing.clone());
            beside.tasks.spawn(async move {
                let value = tokio::select! {
                    value = reading => value,
                    () = closing.cancelled() => Err("the service is stopping".to_owned()),
                };
                readings.end(&own, value, now);
            });
        }
        let ended = async {
            loop {
                let mut ended = std::pin::pin!(self.ended.notified());
                ended.as_mut().enable();
                if !self.with(&key, |entry| entry.is_under_way) {
                    return;
                }
                ended.await;
            }
        };
        let _in_time = tokio::time::timeout(PATIENCE, ended).await;
        self.with(&key, |entry| Looked {
            value: entry.value.clone(),
            is_under_way: entry.is_under_way,
        })
    }

    fn end(&self, key: &K, value: Result<V, String>, at: Duration) {
        self.with(key, |entry| {
            entry.value = Some(value.map(Arc::new));
            entry.read_at = Some(at);
            entry.is_under_way = false;
        });
        self.ended.notify_waiters();
    }

    /// Does something with the entry of a key, which is made if there is none.
    fn with<T>(&self, key: &K, act: impl FnOnce(&mut Entry<K, V>) -> T) -> T {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|entry| entry.key == *key);
        let at = at.unwrap_or_else(|| {
            if entries.len() >= self.max
                && let Some(oldest) = entries.iter().position(|entry| !entry.is_under_way)
            {
                entries.remove(oldest);
            }
            entries.push(Entry {
                key: key.clone(),
                value: None,
                read_at: None,
                is_under_way: false,
            });
            entries.len() - 1
        });
        act(&mut entries[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[tokio::test]
    async fn what_is_read_is_kept_for_a_while_and_within_bounds() {
        let (readings, beside) = (Readings::<u32, u32>::new(2), Beside::default());
        let look = async |key: u32, now: Duration, value: u32| {
            let ages = (now, Duration::from_secs(5));
            let looked = readings
                .look(&beside, key, ages, |_| async move { Ok(value) })
                .await;
            assert!(!looked.is_under_way);
            looked.value().copied()
        };
        assert_eq!(look(1, NOW, 10).await, Some(10));
        assert_eq!(look(1, NOW + Duration::from_secs(5), 11).await, Some(10));
        assert_eq!(look(1, NOW + Duration::from_secs(6), 12).await, Some(12));
        look(2, NOW, 20).await;
        look(3, NOW, 30).await;
        assert_eq!(look(1, NOW + Duration::from_secs(6), 14).await, Some(14));
        let entries = readings.entries.lock().map(|entries| entries.len());
        assert_eq!(entries.unwrap_or_default(), 2);
    }

    #[tokio::test]
    async fn a_page_does_not_wait_for_long_and_nothing_is_read_twice_at_once() {
        let (readings, beside) = (Readings::<(), u32>::new(1), Beside::default());
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let ages = (NOW, Duration::ZERO);
        let first = readings
            .look(&beside, (), ages, |_| async move {
                wait.await.map_err(|error| error.to_string())?;
                Ok(1)
            })
            .await;
        assert!(first.is_under_way && first.value().is_none());
        readings.publish(&(), 0);
        let second = readings
            .look(&beside, (), ages, |_| async {
                Err("a second reading".to_owned())
            })
            .await;
        assert!(second.is_under_way && second.value() == Some(&0));
        assert!(go.send(()).is_ok());
        let third = readings
            .look(&beside, (), ages, |_| async {
                Err("a third reading".to_owned())
            })
            .await;
        assert_eq!((third.value(), third.error()), (Some(&1), None));
    }

    #[tokio::test]
    async fn readings_end_with_the_console() {
        let (readings, beside) = (Readings::<(), u32>::new(1), Beside::default());
        let ages = (NOW, Duration::ZERO);
        let looked = readings
            .look(&beside, (), ages, |_| std::future::pending())
            .await;
        assert!(looked.is_under_way);
        beside.closing.cancel();
        beside.tasks.close();
        beside.tasks.wait().await;
    }
}
