//! The answers in the description, with their headers and bodies. `replies` writes the actual ones; a test compares
//! each answer of the program with this description.

use serde_json::{Map, Value, json};

use super::super::replies::{Problem, ProblemBody};
use super::schemas::Schemas;

/// Problems that the description lists as one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemClass {
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

/// The problems of a webhook.
const OF_A_WEBHOOK: [ProblemClass; 8] = [
    ProblemClass::BadRequest,
    ProblemClass::Unauthorized,
    ProblemClass::Timeout,
    ProblemClass::TooLarge,
    ProblemClass::Unsupported,
    ProblemClass::TooMany,
    ProblemClass::Internal,
    ProblemClass::Unavailable,
];
/// The problems that any path may answer.
const OF_ANY: [ProblemClass; 2] = [ProblemClass::BadRequest, ProblemClass::Internal];

/// Headers of every answer.
const ALWAYS: [&str; 2] = ["X-Request-Id", "X-Content-Type-Options"];

impl ProblemClass {
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

    /// Status; description; its own headers; the words that end its `type`.
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

/// All problems, by name.
pub(super) fn shared(schemas: &mut Schemas) -> Map<String, Value> {
    let problem = schemas.of::<ProblemBody>();
    let all = ProblemClass::ALL.into_iter();
    all.map(|class| (format!("{class:?}"), class.response(&problem)))
        .collect()
}

/// The answers of a webhook; `success` is the schema of its success.
pub(super) fn of_webhook(success: Value) -> Value {
    let description = "All valid, and durable. The four counts add up to the events sent.";
    let content = ("application/json", success);
    responses(description, content, &OF_A_WEBHOOK)
}

/// The answers of one of the service's own pages: media type and schema of its success, and the problems that not
/// every path has.
pub(super) fn of_page(content: (&str, Value), problems: &[ProblemClass]) -> Value {
    let problems = [&OF_ANY, problems].concat();
    responses("As asked for.", content, &problems)
}

fn responses(description: &str, content: (&str, Value), problems: &[ProblemClass]) -> Value {
    let (media_type, schema) = content;
    let success = json!({
        "description": description,
        "headers": references(&[] as &[&str]),
        "content": {media_type: {"schema": schema}},
    });
    let mut all = Map::from_iter([("200".to_owned(), success)]);
    for class in problems {
        let status = class.parts().0.to_string();
        let response = json!({"$ref": format!("#/components/responses/{class:?}")});
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

/// All headers of answers.
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
