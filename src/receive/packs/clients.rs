//! Clients of event collectors, which send to any address that speaks their protocol, and CloudEvents.

use super::pack::{Authenticity, Challenge, Pack, Route, Shape};

/// `POST /v1/{track,identify,page,screen,group,alias,batch}`: the clients of Segment and of RudderStack.
pub(super) static SEGMENT: Pack = Pack {
    proofs: &[Authenticity::User, Authenticity::Member],
    id: &["/messageId"],
    event_type: &["/event", "/type"],
    time: &["/timestamp", "/originalTimestamp"],
    user: &["/userId"],
    shape: Shape::Batch(&["writeKey"]),
    routes: &[
        Route {
            path: "/v1/batch",
            event_type: "unknown",
        },
        Route {
            path: "/v1/track",
            event_type: "track",
        },
        Route {
            path: "/v1/identify",
            event_type: "identify",
        },
        Route {
            path: "/v1/page",
            event_type: "page",
        },
        Route {
            path: "/v1/screen",
            event_type: "screen",
        },
        Route {
            path: "/v1/group",
            event_type: "group",
        },
        Route {
            path: "/v1/alias",
            event_type: "alias",
        },
    ],
    secret: "the write key, a word of your own that the client is given",
    address: "https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/",
    ..Pack::named("segment", "Clients of Segment and RudderStack")
};

/// `POST /batch` and `POST /capture`: the clients of PostHog.
pub(super) static POSTHOG: Pack = Pack {
    proofs: &[Authenticity::Member],
    id: &["/uuid"],
    event_type: &["/event"],
    time: &["/timestamp"],
    user: &["/distinct_id", "/properties/distinct_id"],
    shape: Shape::Batch(&["api_key", "token"]),
    routes: &[
        Route {
            path: "/batch",
            event_type: "unknown",
        },
        Route {
            path: "/capture",
            event_type: "unknown",
        },
        Route {
            path: "/i/v0/e",
            event_type: "unknown",
        },
    ],
    secret: "the project's API key, a word of your own that the client is given",
    address: "https://posthog.com/docs/api/capture",
    ..Pack::named("posthog", "Clients of PostHog")
};

/// Topics of Amazon SNS, whose subscription somebody must confirm.
pub(super) static SNS: Pack = Pack {
    proofs: &[Authenticity::Topics],
    id: &["/MessageId"],
    event_type: &["/Type"],
    time: &["/Timestamp"],
    challenges: &[Challenge::Sns],
    address: "https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html",
    ..Pack::named("sns", "Amazon SNS")
};

/// CloudEvents by HTTP: structured, in batches, and binary. An id is unique within its source.
pub(super) static CLOUD_EVENTS: Pack = Pack {
    id: &["/id"],
    event_type: &["/type"],
    time: &["/time"],
    shape: Shape::CloudEvents,
    challenges: &[Challenge::CloudEvents],
    address: "https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md",
    ..Pack::named("cloudevents", "CloudEvents")
};
