//! Services for people, messages and content.

use super::pack::{Authenticity, Challenge, Pack, Signed};
use crate::signature::{Algorithm, Encoding, TimeForm};

pub(super) static TWITCH: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{id}{timestamp}{body}",
        prefix: "sha256=",
        id_headers: &["twitch-eventsub-message-id"],
        time_headers: &["twitch-eventsub-message-timestamp"],
        time_form: TimeForm::Rfc3339,
        ..Signed::hex(&["twitch-eventsub-message-signature"])
    })],
    id: &["header:twitch-eventsub-message-id"],
    event_type: &[
        "header:twitch-eventsub-subscription-type",
        "/subscription/type",
    ],
    time: &["header:twitch-eventsub-message-timestamp"],
    challenges: &[Challenge::Twitch],
    secret: "the secret of the subscription",
    address: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
    ..Pack::named("twitch", "Twitch EventSub")
};

/// A delivery that is sent again says so in its body.
pub(super) static LINE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&["x-line-signature"]))],
    id: &["/events/0/webhookEventId", "content"],
    event_type: &["/events/0/type"],
    time: &["/events/0/timestamp"],
    secret: "the channel secret",
    address: "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
    ..Pack::named("line", "LINE")
};

pub(super) static TODOIST: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "x-todoist-hmac-sha256",
    ]))],
    id: &["header:x-todoist-delivery-id"],
    event_type: &["/event_name"],
    time: &["/triggered_at"],
    secret: "the client secret of the app",
    address: "https://developer.todoist.com/api/v1/",
    ..Pack::named("todoist", "Todoist")
};

pub(super) static CLICKUP: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["x-signature"]))],
    id: &["/history_items/0/id", "content"],
    event_type: &["/event"],
    time: &["/history_items/0/date"],
    secret: "the secret of the webhook",
    address: "https://developer.clickup.com/docs/webhooksignature",
    ..Pack::named("clickup", "ClickUp")
};

/// The id of a delivery changes when it is sent again; that of the event does not.
pub(super) static BOX: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{body}{timestamp}",
        time_headers: &["box-delivery-timestamp"],
        time_form: TimeForm::Rfc3339,
        ..Signed::base64(&["box-signature-primary", "box-signature-secondary"])
    })],
    id: &["/id"],
    event_type: &["/trigger"],
    time: &["/created_at"],
    secret: "the primary or secondary signature key of the app",
    address: "https://developer.box.com/guides/webhooks/v2/signatures-v2",
    ..Pack::named("box", "Box")
};

pub(super) static TELNYX: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::Ed25519,
        key: Some(Encoding::Base64),
        template: "{timestamp}|{body}",
        time_headers: &["telnyx-timestamp"],
        ..Signed::base64(&["telnyx-signature-ed25519"])
    })],
    id: &["/data/id"],
    event_type: &["/data/event_type"],
    time: &["/data/occurred_at"],
    secret: "the public key of the account",
    address: "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
    ..Pack::named("telnyx", "Telnyx")
};

pub(super) static ELEVENLABS: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        prefix: "v0=",
        ..Signed::pairs(&["elevenlabs-signature"], "{timestamp}.{body}")
    })],
    event_type: &["/type"],
    time: &["/event_timestamp"],
    secret: "the secret of the webhook",
    address: "https://elevenlabs.io/docs/overview/administration/webhooks",
    ..Pack::named("elevenlabs", "ElevenLabs")
};

pub(super) static HOOKDECK: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "x-hookdeck-signature",
        "x-hookdeck-signature-2",
    ]))],
    id: &["header:x-hookdeck-eventid"],
    secret: "the signing secret of the project",
    address: "https://hookdeck.com/docs/authentication",
    ..Pack::named("hookdeck", "Hookdeck")
};

pub(super) static CUSTOMERIO: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "v0:{timestamp}:{body}",
        time_headers: &["x-cio-timestamp"],
        ..Signed::hex(&["x-cio-signature"])
    })],
    id: &["/event_id"],
    event_type: &["/metric"],
    time: &["/timestamp"],
    secret: "the webhook signing key",
    address: "https://docs.customer.io/journeys/webhooks/",
    ..Pack::named("customerio", "Customer.io")
};

pub(super) static WORKOS: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        time_form: TimeForm::Millis,
        ..Signed::pairs(&["workos-signature"], "{timestamp}.{body}")
    })],
    id: &["/id"],
    event_type: &["/event"],
    time: &["/created_at"],
    secret: "the secret of the endpoint",
    address: "https://workos.com/docs/events/data-syncing/webhooks",
    ..Pack::named("workos", "WorkOS")
};

pub(super) static SANITY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        encoding: Encoding::Base64Url,
        time_form: TimeForm::Millis,
        ..Signed::pairs(&["sanity-webhook-signature"], "{timestamp}.{body}")
    })],
    id: &["header:idempotency-key"],
    event_type: &["header:sanity-operation", "/_type"],
    time: &["/_updatedAt"],
    secret: "the secret of the webhook",
    address: "https://www.sanity.io/docs/webhooks",
    ..Pack::named("sanity", "Sanity")
};
