//! The metrics of providers' webhooks.

use metrics::{Counter, Label, describe_counter};

use super::sources::SourceMetrics;

/// What became of a request to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookOutcome {
    /// Something new was stored.
    Accepted,
    /// Everything was known already.
    Duplicate,
    /// Everything was known already, and something with other content.
    Changed,
    /// A known id came with other content, which is in the quarantine.
    Conflict,
    /// Something cannot be read, and is in the quarantine.
    Quarantined,
    /// What cannot be read was in the quarantine already.
    Repeated,
    /// A question by which the provider verifies the URL.
    Challenge,
    /// The request did not prove where it comes from.
    Unauthenticated,
    /// It was refused for another reason.
    Refused,
    /// Nothing could be accepted at that time.
    Unavailable,
}

impl HookOutcome {
    const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Changed,
        Self::Conflict,
        Self::Quarantined,
        Self::Repeated,
        Self::Challenge,
        Self::Unauthenticated,
        Self::Refused,
        Self::Unavailable,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
            Self::Conflict => "conflict",
            Self::Quarantined => "quarantined",
            Self::Repeated => "repeated",
            Self::Challenge => "challenge",
            Self::Unauthenticated => "unauthenticated",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The metrics of one hook.
#[derive(Clone)]
pub struct HookMetrics {
    /// What comes in.
    pub source: SourceMetrics,
    requests: Vec<(HookOutcome, Counter)>,
    /// Events whose time could not be used, so that the time of receipt is theirs.
    pub unusable_times: Counter,
}

impl HookMetrics {
    pub(super) fn register(hook: &str) -> Self {
        let requests = HookOutcome::ALL.map(|outcome| {
            let labels = vec![
                Label::new("hook", hook.to_owned()),
                Label::new("outcome", outcome.as_str()),
            ];
            let counter = metrics::counter!("lakehook_hook_requests_total", labels);
            (outcome, counter)
        });
        let labels = vec![Label::new("hook", hook.to_owned())];
        Self {
            source: SourceMetrics::register(hook),
            requests: requests.to_vec(),
            unusable_times: metrics::counter!("lakehook_hook_unusable_times_total", labels),
        }
    }

    /// Counts a request.
    pub fn count(&self, outcome: HookOutcome) {
        if let Some((_, counter)) = self.requests.iter().find(|(known, _)| *known == outcome) {
            counter.increment(1);
        }
    }
}

pub(super) fn describe() {
    describe_counter!(
        "lakehook_hook_requests_total",
        "Requests to a provider's webhook, by what became of them"
    );
    describe_counter!(
        "lakehook_hook_unusable_times_total",
        "Events of a provider whose time could not be used"
    );
}
