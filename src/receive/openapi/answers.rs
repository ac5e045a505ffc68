//! The answers in the description, with their headers and bodies. `replies` writes the actual ones; a test compares
//! each answer of the program with this description.

use serde_json::{Map, Value, json};

use super::super::replies::{Problem, ProblemBody};
use super::schemas::Schemas;

/// A group of problems that the description lists as one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProblemClass {
    /// The key of the group in `components/responses` of the description.
    name: &'static str,
    status: u16,
    description: &'static str,
    /// The headers of these answers, apart from those of every problem.
    headers: &'static [&'static str],
    /// The last words of the `type` of each problem.
    words: &'static [&'static str],
}

const RETRY: &[&str] = &["Retry-After"];
const BAD_REQUEST: ProblemClass = ProblemClass {
    name: "BadRequest",
    status: 400,
    description: "Not sound HTTP, not JSON, or against the contract: `errors` says where. Nothing of the request is \
                 stored as events.",
    headers: &[],
    words: &["not-json", "invalid-events", "bad-encoding", "bad-request"],
};
const UNAUTHORIZED: ProblemClass = ProblemClass {
    name: "Unauthorized",
    status: 401,
    description: "Bad or missing token or signature.",
    headers: &["WWW-Authenticate"],
    words: &["unauthorized", "bad-signature", "unknown-topic"],
};
const FORBIDDEN: ProblemClass = ProblemClass {
    name: "Forbidden",
    status: 403,
    description: "A browser sends this for a page of another origin, or for another host than this machine; or a wrong \
                 verify token.",
    headers: &[],
    words: &["foreign-origin", "foreign-host", "bad-verify-token"],
};
const NOT_FOUND: ProblemClass = ProblemClass {
    name: "NotFound",
    status: 404,
    description: "There is nothing at this path.",
    headers: &[],
    words: &["not-found"],
};
const METHOD_NOT_ALLOWED: ProblemClass = ProblemClass {
    name: "MethodNotAllowed",
    status: 405,
    description: "Another method is asked for.",
    headers: &["Allow"],
    words: &["method-not-allowed"],
};
const TIMEOUT: ProblemClass = ProblemClass {
    name: "Timeout",
    status: 408,
    description: "The body did not arrive in time.",
    headers: &[],
    words: &["timeout"],
};
const TOO_LARGE: ProblemClass = ProblemClass {
    name: "TooLarge",
    status: 413,
    description: "Body, event, or number of events too large; `limit` says what is allowed.",
    headers: &[],
    words: &[
        "body-too-large",
        "event-too-large",
        "too-many-events",
        "request-too-large",
    ],
};
const UNSUPPORTED: ProblemClass = ProblemClass {
    name: "Unsupported",
    status: 415,
    description: "Another media type, charset or encoding than those `supported`.",
    headers: &[],
    words: &["media-type", "charset", "content-encoding"],
};
const TOO_MANY: ProblemClass = ProblemClass {
    name: "TooMany",
    status: 429,
    description: "Too many requests of one client.",
    headers: &["Retry-After", "RateLimit", "RateLimit-Policy"],
    words: &["too-many-requests"],
};
const INTERNAL: ProblemClass = ProblemClass {
    name: "Internal",
    status: 500,
    description: "A bug; what is durable stays.",
    headers: &[],
    words: &["internal"],
};
const UNAVAILABLE: ProblemClass = ProblemClass {
    name: "Unavailable",
    status: 503,
    description: "Not now: log full, disk nearly full, too many bytes in flight, starting, stopping, storage failed, \
                 the log's bucket away, wrong clock, no owner of a shared log. Nothing was acknowledged.",
    headers: RETRY,
    words: &[
        "starting",
        "stopping",
        "storage-failed",
        "foreign-object",
        "low-space",
        "replica-away",
        "wrong-clock",
        "busy",
        "log-full",
        "late",
        "no-owner",
        "owner-silent",
        "no-certificate",
        "not-confirmed",
    ],
};
const HEAD_TOO_LARGE: ProblemClass = ProblemClass {
    name: "HeadTooLarge",
    status: 431,
    description: "Over 100 header lines, or a head of over 32 KiB. Over HTTP/2 this answer has no body.",
    headers: &[],
    words: &["head-too-large"],
};
/// The answer of `/ready` while requests are refused.
pub(super) const NOT_READY: ProblemClass = ProblemClass {
    name: "NotReady",
    status: 503,
    description: "Requests are refused, or a batch is held.",
    headers: RETRY,
    words: &[
        "starting",
        "stopping",
        "storage-failed",
        "foreign-object",
        "low-space",
        "replica-away",
        "wrong-clock",
        "no-owner",
        "batch-held",
    ],
};

const ALL: [ProblemClass; 13] = [
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED,
    TOO_MANY,
    INTERNAL,
    UNAVAILABLE,
    NOT_READY,
];
/// The problems of a webhook.
const OF_A_WEBHOOK: [ProblemClass; 10] = [
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    UNAUTHORIZED,
    FORBIDDEN,
    TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED,
    TOO_MANY,
    INTERNAL,
    UNAVAILABLE,
];
/// The problems that any path may answer.
const OF_ANY: [ProblemClass; 4] = [BAD_REQUEST, FORBIDDEN, HEAD_TOO_LARGE, INTERNAL];

/// Headers of every answer.
const ALWAYS: [&str; 2] = ["X-Request-Id", "X-Content-Type-Options"];

impl ProblemClass {
    fn response(self, problem: &Value) -> Value {
        let Self {
            status,
            description,
            headers,
            words,
            ..
        } = self;
        let kinds: Vec<String> = words.iter().map(|word| Problem::kind_of(word)).collect();
        let schema = json!({
            "allOf": [problem, {
                "type": "object",
                "properties": {"status": {"const": status}, "type": {"enum": kinds}},
            }],
        });
        let headers = headers.iter().chain(&["Cache-Control"]);
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
    let all = ALL.into_iter();
    all.map(|class| (class.name.to_owned(), class.response(&problem)))
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
        let response = json!({"$ref": format!("#/components/responses/{}", class.name)});
        all.insert(class.status.to_string(), response);
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
