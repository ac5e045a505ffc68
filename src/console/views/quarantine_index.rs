//! What the quarantine holds, as far as it was read, and which rows of it a page is about.

use std::sync::Arc;
use std::time::Duration;

use crate::console::asked::Fields;
use crate::console::readings::Looked;
use crate::console::state::Console;
use crate::replay::index::QuarantineIndex;
use crate::replay::kinds::Kind;

/// Rows of so many days are shown.
pub(super) const DAYS: u64 = 14;
/// What was read is shown for this long before the lake is looked into again.
const MAX_AGE: Duration = Duration::from_secs(3);

/// Which rows a page is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) kind: Option<Kind>,
}

impl Filter {
    pub(super) fn of(fields: &Fields) -> Self {
        let has_one = !fields.get("reason").is_empty();
        let text = |name: &str| fields.get(name).to_owned();
        Self {
            kind: has_one.then(|| Kind {
                stream: text("stream"),
                reason: text("reason"),
                code: text("code"),
                pointer: text("pointer"),
            }),
        }
    }

    /// Whether it is about one kind alone.
    pub(super) fn is_set(&self) -> bool {
        self.kind.is_some()
    }

    pub(super) fn has(&self, kind: &Kind) -> bool {
        self.kind.as_ref().is_none_or(|own| own == kind)
    }
}

/// What the quarantine holds, as far as it is known.
pub(super) async fn index(console: &Arc<Console>) -> Looked<QuarantineIndex> {
    let own = Arc::clone(console);
    let now = console.mono();
    let read = async move |before: Option<Arc<QuarantineIndex>>| {
        let before = before.map(|before| QuarantineIndex::clone(&before));
        let publish = |index: &QuarantineIndex| own.known.quarantine.publish(&(), index.clone());
        let (place, days) = (own.lake().await, days(&own));
        let streams = &own.settings.streams;
        let refreshed = before
            .unwrap_or_default()
            .refresh(place, streams, &days, &publish);
        refreshed.await.map_err(|error| error.to_string())
    };
    console
        .known
        .quarantine
        .look(&console.beside, (), (now, MAX_AGE), read)
        .await
}

/// The days that are shown, the newest first.
fn days(console: &Console) -> Vec<String> {
    let now = console.app.clock.wall();
    let day = Duration::from_secs(86_400);
    let before = |days: u64| now.minus(day * u32::try_from(days).unwrap_or(0));
    let texts = (0..DAYS).map(|days| before(days).to_string());
    texts.map(|text| text.chars().take(10).collect()).collect()
}
