//! Questions by which providers verify a URL before they send anything, and their answers.
//!
//! What is echoed is plain text of at most 1 KiB, which no browser shows as a page. No URL that a question names is ever
//! fetched, except the one that confirms a subscription of Amazon SNS, where the configuration says so.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::delivery::Answer;
use super::hooks::Hook;
use super::packs::Challenge;
use super::replies::Problem;
use super::sns::is_of_sns;
use crate::signature::pairs;

/// The longest text that is echoed.
const MAX_ECHO: usize = 1024;
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

impl Hook {
    fn has(&self, challenge: Challenge) -> bool {
        self.challenges.contains(&challenge)
    }

    /// Whether `GET` and `HEAD` are answered.
    pub(super) fn answers_get(&self) -> bool {
        let by_get = |challenge: &Challenge| {
            matches!(
                challenge,
                Challenge::Hub | Challenge::Echo(_) | Challenge::Get | Challenge::Okta
            )
        };
        self.challenges.iter().any(by_get)
    }

    /// The methods of its path, for `Allow`.
    pub(super) fn allowed_methods(&self) -> &'static str {
        match (self.answers_get(), self.answers_options()) {
            (false, false) => "POST",
            (true, false) => "POST, GET, HEAD",
            (false, true) => "POST, OPTIONS",
            (true, true) => "POST, GET, HEAD, OPTIONS",
        }
    }

    /// Whether `OPTIONS` is answered.
    pub(super) fn answers_options(&self) -> bool {
        self.has(Challenge::CloudEvents)
    }

    /// The answer to an authentic body, if it is a question or a notice.
    pub(super) fn answer_to_body(&self, headers: &HeaderMap, raw: &str) -> Option<Answer> {
        if self.challenges.is_empty() || raw.len() > 8 * MAX_ECHO {
            return None;
        }
        let value: Value = serde_json::from_str(raw).ok()?;
        let text = |pointer: &str| {
            let text = value.pointer(pointer).and_then(Value::as_str);
            text.filter(|text| text.len() <= MAX_ECHO)
        };
        for challenge in &self.challenges {
            let answer = match challenge {
                Challenge::Slack if value["type"] == "url_verification" => text("/challenge")
                    .map(|challenge| Answer::Json(json!({"challenge": challenge}))),
                Challenge::Zoom if value["event"] == "endpoint.url_validation" => {
                    let token = text("/payload/plainToken")?;
                    let digest = self.proofs.digest_of(token)?;
                    let answer = json!({"plainToken": token, "encryptedToken": digest});
                    Some(Answer::Json(answer))
                }
                Challenge::Discord if value["type"] == 1 && value.get("event").is_none() => {
                    Some(Answer::Json(json!({"type": 1})))
                }
                Challenge::Discord if value["type"] == 0 => Some(Answer::Nothing),
                Challenge::Twitch if is_twitch_question(headers) => {
                    text("/challenge").map(|challenge| Answer::Text(challenge.to_owned()))
                }
                Challenge::EventGrid if is_event_grid_question(headers) => {
                    let code = text("/data/validationCode");
                    code.map(|code| Answer::Json(json!({"validationResponse": code})))
                }
                Challenge::Sns => self.answer_to_sns(&value),
                _ => None,
            };
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Messages of SNS about the subscription itself.
    fn answer_to_sns(&self, message: &Value) -> Option<Answer> {
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        let (topic, url) = (text("TopicArn"), text("SubscribeURL"));
        let hook = &*self.name;
        match text("Type") {
            "SubscriptionConfirmation" if !is_of_sns(url) => {
                tracing::warn!(
                    hook,
                    "a confirmation of SNS names a URL that is not of SNS; it is ignored"
                );
            }
            "SubscriptionConfirmation" if self.confirms() => {
                return Some(Answer::Opening(url.to_owned()));
            }
            "SubscriptionConfirmation" => {
                tracing::warn!(
                    hook,
                    topic,
                    url,
                    "SNS asks for a confirmation: open this URL if the topic is yours"
                );
            }
            "UnsubscribeConfirmation" => {
                tracing::warn!(
                    hook,
                    topic,
                    "SNS says that the subscription to this topic has ended; subscribe again if nobody meant it to"
                );
            }
            _ => return None,
        }
        Some(Answer::Nothing)
    }

    /// Whether subscriptions are confirmed: the messages that ask for it are verified then, whoever sends them.
    fn confirms(&self) -> bool {
        let topics = self.proofs.topics();
        topics.is_some_and(|topics| topics.confirms())
    }

    /// Confirms a subscription. If that fails, SNS asks again.
    pub(super) async fn confirm(&self, url: &str) -> Result<(), Problem> {
        let hook = &*self.name;
        let Some(topics) = self.proofs.topics() else {
            return Ok(());
        };
        match topics.confirm(url).await {
            Ok(()) => {
                tracing::info!(hook, "a subscription of SNS is confirmed");
                Ok(())
            }
            Err(why) => {
                tracing::warn!(
                    hook,
                    url,
                    why,
                    "a subscription of SNS is not confirmed; SNS will ask again, or open this URL"
                );
                let detail = "the URL that confirms the subscription cannot be opened now";
                Err(Problem::unavailable("not-confirmed", detail))
            }
        }
    }

    /// The answer to a request that is not authentic, if it is a question that nobody signs.
    pub(super) fn answer_to_ping(&self, body: &[u8]) -> bool {
        let number = body.strip_prefix(b"webhook_id=");
        let is_number =
            |text: &[u8]| (1..=20).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
        self.has(Challenge::WooCommerce) && number.is_some_and(is_number)
    }

    /// The answer to a `POST` whose query is a question.
    pub(super) fn answer_to_query(&self, query: Option<&str>) -> Option<Response> {
        if !self.has(Challenge::ValidationToken) {
            return None;
        }
        value_of(query, "validationToken").map(|token| echo(&token))
    }

    /// Answers `GET` and `HEAD`.
    pub(super) fn answer_get(&self, headers: &HeaderMap, query: Option<&str>) -> Response {
        for challenge in &self.challenges {
            match challenge {
                Challenge::Hub => return self.answer_hub(query),
                Challenge::Okta => {
                    if let Some(answer) = answer_to_okta(headers) {
                        return answer;
                    }
                }
                Challenge::Echo(name) => {
                    if let Some(text) = value_of(query, name) {
                        return echo(&text);
                    }
                }
                _ => {}
            }
        }
        if self.has(Challenge::Get) {
            return StatusCode::OK.into_response();
        }
        Problem::method_not_allowed("POST").into_response()
    }

    /// Meta's question, which names a word that was agreed upon.
    fn answer_hub(&self, query: Option<&str>) -> Response {
        let given = value_of(query, "hub.verify_token").unwrap_or_default();
        let is_right = self
            .verify_token
            .as_ref()
            .is_some_and(|token| bool::from(token.expose().as_bytes().ct_eq(given.as_bytes())));
        match value_of(query, "hub.challenge") {
            Some(challenge) if is_right => echo(&challenge),
            _ => Problem::new(
                StatusCode::FORBIDDEN,
                "bad-verify-token",
                "Bad or missing verify token",
                "hub.verify_token is not that of the configuration, or hub.challenge is missing",
            )
            .into_response(),
        }
    }

    /// Answers the handshake of CloudEvents, HTTP Webhook 1.0, section 4. A callback URL is never fetched.
    pub(super) fn answer_options(headers: &HeaderMap) -> Response {
        let asked = headers.get(REQUEST_ORIGIN).or_else(|| headers.get(ORIGIN));
        let Some(origin) = asked.filter(|origin| origin.len() <= MAX_ECHO) else {
            return Problem::method_not_allowed("POST").into_response();
        };
        let mut response = StatusCode::OK.into_response();
        let answer = response.headers_mut();
        answer.insert(ALLOWED_ORIGIN, origin.clone());
        answer.insert(ALLOWED_RATE, HeaderValue::from_static("*"));
        answer.insert(http::header::ALLOW, HeaderValue::from_static("POST"));
        response
    }
}

/// The answer to Okta's question.
fn answer_to_okta(headers: &HeaderMap) -> Option<Response> {
    let asked = headers
        .get("x-okta-verification-challenge")?
        .to_str()
        .ok()?;
    let answer = json!({"verification": asked});
    (asked.len() <= MAX_ECHO)
        .then(|| super::replies::json(StatusCode::OK, "application/json", &answer))
}

fn is_twitch_question(headers: &HeaderMap) -> bool {
    let kind = headers.get("twitch-eventsub-message-type");
    kind.is_some_and(|kind| kind.as_bytes() == b"webhook_callback_verification")
}

fn is_event_grid_question(headers: &HeaderMap) -> bool {
    let kind = headers.get("aeg-event-type");
    kind.is_some_and(|kind| {
        kind.as_bytes()
            .eq_ignore_ascii_case(b"SubscriptionValidation")
    })
}

/// The value of a name in a query, if it is short.
fn value_of(query: Option<&str>, name: &str) -> Option<String> {
    let mut found = pairs(query?.as_bytes()).filter(|(known, _)| known.as_ref() == name.as_bytes());
    let (_, value) = found.next()?;
    let text = String::from_utf8(value.into_owned()).ok()?;
    (!text.is_empty() && text.len() <= MAX_ECHO).then_some(text)
}

pub(super) fn echo(text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
