//! Options of the sample upstream: sizes, pace and faults.

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;

/// Most events of a request; receivers commonly accept no more.
pub(super) const MAX_BATCH: u32 = 10_000;

/// The settings of an upstream. Shares go from 0 (never) to 1 (always).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The seed of users and content: equal seeds give equal ones.
    pub seed: u64,
    /// How many users there are.
    pub users: u32,
    /// How many content items there are; they are always served all at once.
    pub content: u32,
    /// Where events are pushed to, such as `http://127.0.0.1:4000/webhook/events`; `http` only.
    pub webhook_url: Option<String>,
    /// How many events a request holds.
    pub batch: RangeInclusive<u32>,
    /// How long the generator rests between two requests.
    pub pause: RangeInclusive<Duration>,
    /// Events per second, instead of pauses; fewer if the receiver answers more slowly.
    pub rate: Option<f64>,
    /// Share of events that exactly repeat an earlier one of the same request.
    pub duplicates: f64,
    /// Share of requests that hold one event, which breaks the contract.
    pub broken_requests: f64,
    /// Share of `GET /api/events` answered 503.
    pub unavailable: f64,
    /// Share of `GET /api/events` answered late.
    pub late: f64,
    /// How late that is.
    pub late_by: Duration,
    /// How long a stop waits for the answer to the push under way.
    pub stop_within: Duration,
    /// Whether [`serve`](super::serve) starts the generator, without waiting for `/start-generator`.
    pub start_generator: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 10_000,
            content: 1_000,
            webhook_url: None,
            batch: 1..=10,
            pause: Duration::from_secs(2)..=Duration::from_secs(5),
            rate: None,
            duplicates: 0.03,
            broken_requests: 0.0,
            unavailable: 0.1,
            late: 0.05,
            late_by: Duration::from_secs(10),
            stop_within: Duration::from_secs(3),
            start_generator: false,
        }
    }
}

/// Why options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// There is no user or no content that events could refer to.
    #[error("there must be at least one user and one content item")]
    NobodyOrNothing,
    /// See [`Options::batch`].
    #[error("a batch must hold 1 to {MAX_BATCH} events, from the smaller number to the larger")]
    Batch,
    /// See [`Options::pause`].
    #[error("the pause must go from the shorter to the longer")]
    Pause,
    /// See [`Options::rate`].
    #[error("the rate must be a positive number of events per second")]
    Rate,
    /// One of the shares, or the two faults of `/api/events` together.
    #[error("{name} must be a share from 0 to 1")]
    Share {
        /// Which one.
        name: &'static str,
    },
    /// See [`Options::webhook_url`].
    #[error("the webhook URL must be an absolute http:// URL")]
    WebhookUrl,
    /// The generator is to start, but has no URL to push to.
    #[error("the generator needs a webhook URL")]
    NoWebhook,
}

impl Options {
    /// Checks all options, and parses the URL of the webhook.
    pub(super) fn check(&self) -> Result<Option<Url>, OptionsError> {
        if self.users == 0 || self.content == 0 {
            return Err(OptionsError::NobodyOrNothing);
        }
        let sizes_in_bounds = *self.batch.start() >= 1 && *self.batch.end() <= MAX_BATCH;
        if self.batch.is_empty() || !sizes_in_bounds {
            return Err(OptionsError::Batch);
        }
        if self.pause.is_empty() {
            return Err(OptionsError::Pause);
        }
        // The smallest rate keeps the wait for a whole batch a duration that can be expressed.
        if self
            .rate
            .is_some_and(|rate| !(rate.is_finite() && rate >= 1e-6))
        {
            return Err(OptionsError::Rate);
        }
        self.check_shares()?;
        if self.start_generator && self.webhook_url.is_none() {
            return Err(OptionsError::NoWebhook);
        }
        self.webhook_url.as_deref().map(parse_webhook).transpose()
    }

    fn check_shares(&self) -> Result<(), OptionsError> {
        let shares = [
            ("duplicates", self.duplicates),
            ("broken_requests", self.broken_requests),
            ("unavailable", self.unavailable),
            ("late", self.late),
            (
                "unavailable and late together",
                self.unavailable + self.late,
            ),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(OptionsError::Share { name });
            }
        }
        Ok(())
    }
}

fn parse_webhook(text: &str) -> Result<Url, OptionsError> {
    let url = Url::parse(text).map_err(|_| OptionsError::WebhookUrl)?;
    if url.scheme() == "http" {
        Ok(url)
    } else {
        Err(OptionsError::WebhookUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(change: impl FnOnce(&mut Options)) -> bool {
        let mut options = Options::default();
        change(&mut options);
        options.check().is_err()
    }

    #[test]
    fn the_defaults_make_sense() {
        assert!(!is_refused(|_| ()));
        assert!(!is_refused(
            |o| o.webhook_url = Some("http://127.0.0.1:4000/x".into())
        ));
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges, reason = "what is refused here")]
    fn what_makes_no_sense_is_refused() {
        assert!(is_refused(|o| o.users = 0));
        assert!(is_refused(|o| o.content = 0));
        assert!(is_refused(|o| o.batch = 0..=3));
        assert!(is_refused(|o| o.batch = 3..=2));
        assert!(is_refused(|o| o.batch = 1..=MAX_BATCH + 1));
        assert!(is_refused(
            |o| o.pause = Duration::from_secs(2)..=Duration::ZERO
        ));
        assert!(is_refused(|o| o.rate = Some(0.0)));
        assert!(is_refused(|o| o.rate = Some(f64::NAN)));
        assert!(is_refused(|o| o.duplicates = 1.1));
        assert!(is_refused(|o| o.late = f64::NAN));
        assert!(is_refused(|o| (o.late, o.unavailable) = (0.6, 0.6)));
        assert!(is_refused(|o| o.start_generator = true));
        assert!(is_refused(
            |o| o.webhook_url = Some("https://127.0.0.1/x".into())
        ));
        assert!(is_refused(|o| o.webhook_url = Some("localhost:4000".into())));
    }
}
