//! What an API itself says about a failure: the text of an error in the body of its answer.
//!
//! The text is shown to people, so it is bounded, it is one line, and no configured secret is in it.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::Response;

use super::definition::Request;
use super::notes::Notes;
use super::wanted::Wanted;
use crate::wait::Waiter;
use lakehook_base::secret::Secret;

/// Most bytes of a body that are read for the text of an error.
const MAX_BODY: usize = 64 << 10;
/// Most characters of the text.
const MAX_CHARS: usize = 300;
/// How long the rest of the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Shorter values of headers and parameters are hardly secret, and would make holes in any text.
const MIN_SECRET: usize = 5;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Secrets that no text may show.
#[derive(Clone, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    /// The secrets of a request.
    pub fn of(request: &Request) -> Self {
        let credentials = &request.credentials;
        let own = [&credentials.token, &credentials.password];
        let own = own.into_iter().flatten().map(Secret::expose);
        let named = request.query.values().chain(request.headers.values());
        let named = named.map(Secret::expose);
        let mut hidden = Self::default();
        own.for_each(|secret| hidden.add(secret));
        let long = named.filter(|secret| secret.len() >= MIN_SECRET);
        long.for_each(|secret| hidden.add(secret));
        hidden
    }

    /// The same, and what the headers of a request hold: tokens that were issued meanwhile, too.
    pub(super) fn with_headers(&self, headers: &HeaderMap) -> Self {
        let mut hidden = self.clone();
        let own = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE];
        for (name, value) in headers.iter().filter(|(name, _)| !own.contains(name)) {
            let Ok(text) = value.to_str() else { continue };
            let bare = text.split_once(' ').filter(|_| name == AUTHORIZATION);
            let secret = bare.map_or(text, |(_, bare)| bare);
            if secret.len() >= MIN_SECRET {
                hidden.add(secret);
            }
        }
        hidden
    }

    /// The text of an error that the API tells, as part of a message.
    pub(super) fn told(&self, text: &str) -> String {
        format!(" (the API says: {:?})", self.shown(text))
    }

    /// Adds a secret, as it is and as it stands in a URL.
    pub fn add(&mut self, secret: &str) {
        let encode = |text: &str| reqwest::Url::parse_with_params("http://x/", [("", text)]);
        let in_query = encode(secret).ok().and_then(|url| {
            let query = url.query()?;
            Some(query.trim_start_matches('=').to_owned())
        });
        let with_spaces = in_query.as_ref().map(|text| text.replace('+', "%20"));
        let forms = [Some(secret.trim().to_owned()), in_query, with_spaces];
        self.0
            .extend(forms.into_iter().flatten().filter(|form| !form.is_empty()));
        // What is part of another secret must not tear it apart.
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
        self.0.dedup();
    }

    /// The text of an error as it may be shown: one line, bounded, without secrets.
    pub fn shown(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.as_str(), "…");
        }
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        let line = words.join(" ");
        match line.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

impl std::fmt::Debug for Hidden {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({})", self.0.len())
    }
}

/// The text of an error in an answer that is no page; `None` if there is none.
pub(super) fn of(
    response: Response,
    wanted: &Wanted,
    timeout: Duration,
    waiter: &Waiter,
) -> Option<String> {
    let is_text = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("text/plain"));
    let body = beginning(response, timeout, waiter);
    let body = if body.starts_with(&GZIP) {
        let mut text = Vec::new();
        let most = MAX_BODY as u64;
        // Of a body that is cut off, what was read counts.
        let _cut = MultiGzDecoder::new(&*body)
            .take(most)
            .read_to_end(&mut text);
        text
    } else {
        body
    };
    in_body(&body, wanted, is_text)
}

/// The first bytes of an answer, as far as they come soon.
fn beginning(mut response: Response, timeout: Duration, waiter: &Waiter) -> Vec<u8> {
    let mut body = Vec::new();
    let timeout = timeout.min(PATIENCE);
    let end = waiter.clock().now().mono + timeout;
    while body.len() < MAX_BODY {
        let left = end.saturating_sub(waiter.clock().now().mono);
        let Ok(Ok(Some(chunk))) = waiter.wait(left, response.chunk()) else {
            break;
        };
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    body
}

/// The text of an error in a body.
fn in_body(body: &[u8], wanted: &Wanted, is_text: bool) -> Option<String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Notes::told_in(wanted, &value);
    }
    let text = std::str::from_utf8(body).ok().filter(|_| is_text)?;
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::form::PageForm;
    use super::super::wanted::Steering;
    use super::*;

    fn told(body: &str, error: Option<&str>) -> Option<String> {
        let form = PageForm {
            error: error.map(str::to_owned),
            ..PageForm::default()
        };
        let wanted = Wanted::new(&form, &Steering::default()).ok()?;
        in_body(body.as_bytes(), &wanted, false)
    }

    #[test]
    fn errors_are_found_where_apis_tell_them() {
        for (body, text) in [
            (r#"{"error":"no such list"}"#, Some("no such list")),
            (
                r#"{"error":{"code":5,"message":"no such list"}}"#,
                Some("no such list"),
            ),
            (
                r#"{"errors":[{"message":"no such list"}]}"#,
                Some("no such list"),
            ),
            (r#"{"errors":["no such list"]}"#, Some("no such list")),
            (
                r#"{"message":"Bad","detail":"no such list","title":"x"}"#,
                Some("Bad"),
            ),
            (
                r#"{"title":"x","detail":"no such list"}"#,
                Some("no such list"),
            ),
            (r#"{"error":null,"message":""}"#, None),
            (r#"{"items":[]}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(told(body, None).as_deref(), text, "{body}");
        }
        let body = r#"{"message":"Bad","why":{"text":"no such list"}}"#;
        assert_eq!(
            told(body, Some("/why/text")).as_deref(),
            Some("no such list")
        );
    }

    #[test]
    fn what_is_shown_is_one_short_line_without_secrets() {
        let mut hidden = Hidden::default();
        hidden.add("s3cret key+");
        let shown = hidden.shown("bad\n key s3cret key+ in ?k=s3cret+key%2B&a or s3cret%20key%2B");
        assert_eq!(shown, "bad key … in ?k=…&a or …");
        assert_eq!(
            hidden.shown(&"é".repeat(500)).chars().count(),
            MAX_CHARS + 1
        );
        assert!(!format!("{hidden:?}").contains("s3cret"));
    }
}
