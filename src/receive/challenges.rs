//! Questions by which providers verify a URL before they send anything, and their answers.
//!
//! What is echoed is plain text of at most 1 KiB, which no browser shows as a page. No URL that a question names is ever
//! fetched.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::hooks::Hook;
use super::packs::Challenge;
use super::replies::Problem;
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
                Challenge::Hub | Challenge::Echo(_) | Challenge::Get
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

    /// The answer to an authentic body, if it is a question; null stands for an empty one.
    pub(super) fn answer_to_body(&self, headers: &HeaderMap, raw: &str) -> Option<Value> {
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
                Challenge::Slack if value["type"] == "url_verification" => {
                    text("/challenge").map(|challenge| json!({"challenge": challenge}))
                }
                Challenge::Zoom if value["event"] == "endpoint.url_validation" => {
                    let token = text("/payload/plainToken")?;
                    let digest = self.proofs.digest_of(token)?;
                    Some(json!({"plainToken": token, "encryptedToken": digest}))
                }
                Challenge::Discord if value["type"] == 1 && value.get("event").is_none() => {
                    Some(json!({"type": 1}))
                }
                Challenge::Discord if value["type"] == 0 => Some(Value::Null),
                Challenge::EventGrid if is_event_grid_question(headers) => {
                    let code = text("/data/validationCode");
                    code.map(|code| json!({"validationResponse": code}))
                }
                Challenge::Sns if value["Type"] == "SubscriptionConfirmation" => {
                    self.tell_of_subscription(&value);
                    Some(Value::Null)
                }
                _ => None,
            };
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Tells the operator where to confirm a subscription of SNS.
    fn tell_of_subscription(&self, message: &Value) {
        let url = message["SubscribeURL"].as_str().unwrap_or_default();
        let topic = message["TopicArn"].as_str().unwrap_or_default();
        let hook = &*self.name;
        if is_of_sns(url) {
            tracing::warn!(
                hook,
                topic,
                url,
                "SNS asks for a confirmation: open this URL if the topic is yours"
            );
        } else {
            tracing::warn!(
                hook,
                "a confirmation of SNS names a URL that is not of SNS; it is ignored"
            );
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
    pub(super) fn answer_get(&self, query: Option<&str>) -> Response {
        for challenge in &self.challenges {
            match challenge {
                Challenge::Hub => return self.answer_hub(query),
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

/// Whether a URL is one of SNS itself: everybody's bucket has a host under the same domain.
fn is_of_sns(url: &str) -> bool {
    let host = url
        .strip_prefix("https://sns.")
        .and_then(|rest| rest.split_once('/'))
        .map(|(host, _)| host);
    let region = host.and_then(|host| {
        let chinese = host.strip_suffix(".amazonaws.com.cn");
        chinese.or_else(|| host.strip_suffix(".amazonaws.com"))
    });
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    region.is_some_and(|region| !region.is_empty() && region.chars().all(is_plain))
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

fn echo(text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::is_of_sns;

    #[test]
    fn only_sns_itself_is_told_of() {
        for url in [
            "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
            "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription",
        ] {
            assert!(is_of_sns(url), "{url}");
        }
        for url in [
            "",
            "http://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.amazonaws.com/",
            "https://sns.a.b.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com:444/",
            "https://sns.us-east-1.amazonaws.com@evil.example.com/",
            "https://sns.us-east-1.amazonaws.com.evil.example.com/",
            "https://sns.s3.amazonaws.com.cn.evil/",
            "https://evil.example.com/sns.us-east-1.amazonaws.com/",
        ] {
            assert!(!is_of_sns(url), "{url}");
        }
    }
}
