//! Answers: which there are, with their headers and bodies. What they look like is for `replies`; a test holds the
//! program against this.

use serde_json::{Map, Value, json};

use super::super::replies::{Content, Problem};
use super::schemas::Schemas;

/// A kind of answer that is a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    Timeout,
    TooLarge,
    Unsupported,
    TooMany,
    Internal,
    Unavailable,
    NotReady,
}

/// What may become of a request with a body.
const OF_A_WEBHOOK: [Outcome; 8] = [
    Outcome::BadRequest,
    Outcome::Unauthorized,
    Outcome::Timeout,
    Outcome::TooLarge,
    Outcome::Unsupported,
    Outcome::TooMany,
    Outcome::Internal,
    Outcome::Unavailable,
];
/// What may become of any request.
const OF_ANY: [Outcome; 2] = [Outcome::BadRequest, Outcome::Internal];

/// On every answer.
const ALWAYS: [&str; 2] = ["X-Request-Id", "X-Content-Type-Options"];

impl Outcome {
    const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::TooLarge,
        Self::Unsupported,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
        Self::NotReady,
    ];

    /// Status; description; headers of its own; the last words of its `type`.
    fn parts(
        self,
    ) -> (
        u16,
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    ) {
        const RETRY: &[&str] = &["Retry-After"];
        match self {
            Self::BadRequest => (
                400,
                "Not sound HTTP, not JSON, or against the contract: `errors` says where. Nothing of the request is \
                 stored as events.",
                &[],
                &["not-json", "invalid-events", "bad-encoding", "bad-request"],
            ),
            Self::Unauthorized => (
                401,
                "Bad or missing token or signature.",
                &["WWW-Authenticate"],
                &["unauthorized", "bad-signature"],
            ),
            Self::NotFound => (404, "There is nothing at this path.", &[], &["not-found"]),
            Self::MethodNotAllowed => (
                405,
                "Another method is asked for.",
                &["Allow"],
                &["method-not-allowed"],
            ),
            Self::Timeout => (408, "The body did not arrive in time.", &[], &["timeout"]),
            Self::TooLarge => (
                413,
                "Body, event, or number of events too large; `limit` says what is allowed.",
                &[],
                &[
                    "body-too-large",
                    "event-too-large",
                    "too-many-events",
                    "request-too-large",
                ],
            ),
            Self::Unsupported => (
                415,
                "Another media type, charset or encoding than those `supported`.",
                &[],
                &["media-type", "charset", "content-encoding"],
            ),
            Self::TooMany => (
                429,
                "Too many requests of one client.",
                &["Retry-After", "RateLimit", "RateLimit-Policy"],
                &["too-many-requests"],
            ),
            Self::Internal => (500, "A bug; what is durable stays.", &[], &["internal"]),
            Self::Unavailable => (
                503,
                "Not now: log full, disk nearly full, too many bytes in flight, starting, stopping, storage failed, \
                 wrong clock. Nothing was acknowledged.",
                RETRY,
                &[
                    "starting",
                    "stopping",
                    "storage-failed",
                    "foreign-object",
                    "low-space",
                    "wrong-clock",
                    "busy",
                    "log-full",
                    "late",
                ],
            ),
            Self::NotReady => (
                503,
                "Requests are refused, or a batch is held.",
                RETRY,
                &[
                    "starting",
                    "stopping",
                    "storage-failed",
                    "foreign-object",
                    "low-space",
                    "wrong-clock",
                    "batch-held",
                ],
            ),
        }
    }

    fn response(self, problem: &Value) -> Value {
        let (status, description, own_headers, words) = self.parts();
        let kinds: Vec<String> = words.iter().map(|word| Problem::kind_of(word)).collect();
        let schema = json!({
            "allOf": [problem, {
                "type": "object",
                "properties": {"status": {"const": status}, "type": {"enum": kinds}},
            }],
        });
        let headers = own_headers.iter().chain(&["Cache-Control"]);
        json!({
            "description": description,
            "headers": references(headers),
            "content": {"application/problem+json": {"schema": schema}},
        })
    }
}

/// Every problem, by name.
pub(super) fn shared(schemas: &mut Schemas) -> Map<String, Value> {
    let problem = schemas.of::<Content>();
    let all = Outcome::ALL.into_iter();
    all.map(|outcome| (format!("{outcome:?}"), outcome.response(&problem)))
        .collect()
}

/// Of a webhook, with the body of its success.
pub(super) fn of_webhook(success: Value) -> Value {
    let description = "All valid, and durable. The four counts add up to the events sent.";
    let content = ("application/json", success);
    responses(description, content, &OF_A_WEBHOOK)
}

/// Of one of the service's own paths: media type and schema of its success, and which problems there are beside
/// those that there always are.
pub(super) fn of_own(content: (&str, Value), outcomes: &[Outcome]) -> Value {
    let outcomes = [&OF_ANY, outcomes].concat();
    responses("As asked for.", content, &outcomes)
}

fn responses(description: &str, content: (&str, Value), outcomes: &[Outcome]) -> Value {
    let (media_type, schema) = content;
    let success = json!({
        "description": description,
        "headers": references(&[] as &[&str]),
        "content": {media_type: {"schema": schema}},
    });
    let mut all = Map::from_iter([("200".to_owned(), success)]);
    for outcome in outcomes {
        let status = outcome.parts().0.to_string();
        let response = json!({"$ref": format!("#/components/responses/{outcome:?}")});
        all.insert(status, response);
    }
    Value::Object(all)
}

fn references<'n>(own: impl IntoIterator<Item = &'n &'n str>) -> Value {
    let names = ALWAYS.iter().chain(own);
    let headers = names.map(|name| {
        let reference = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), reference)
    });
    Value::Object(headers.collect())
}

/// Every header of an answer.
pub(super) fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({"description": description, "required": true, "schema": schema});
    json!({
        "X-Request-Id": header(
            "The sender's, or a new one.",
            json!({"type": "string", "pattern": "^[!-~]{1,128}$"}),
        ),
        "X-Content-Type-Options": header("No answer is a page.", json!({"const": "nosniff"})),
        "Cache-Control": header("Problems are not kept.", json!({"const": "no-store"})),
        "WWW-Authenticate": header("How to authenticate.", json!({"const": "Bearer"})),
        "Allow": header("The methods that there are.", json!({"enum": ["POST", "GET, HEAD"]})),
        "Retry-After": header("After so many seconds.", json!({"type": "integer", "minimum": 1})),
        "RateLimit": header(
            "What is left: `r` requests, and `t` seconds until there are more \
             (draft-ietf-httpapi-ratelimit-headers).",
            json!({"type": "string", "pattern": "^\"requests\";r=0;t=[0-9]+$"}),
        ),
        "RateLimit-Policy": header(
            "The limit: `q` requests at once, and `w` seconds of rest until all of them may be sent again.",
            json!({"type": "string", "pattern": "^\"requests\";q=[0-9]+;w=[0-9]+$"}),
        ),
    })
}
