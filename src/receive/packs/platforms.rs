//! Providers of code, operations and communication.

use super::pack::{Authenticity, Challenge, Pack, Signed};
use crate::signature::{Algorithm, Encoding};

pub(super) static GITHUB: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        prefix: "sha256=",
        ..Signed::hex(&["x-hub-signature-256"])
    })],
    id: &["header:x-github-delivery"],
    event_type: &["header:x-github-event"],
    secret: "the secret of the webhook",
    address: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    ..Pack::named("github", "GitHub")
};

pub(super) static GITLAB: Pack = Pack {
    proofs: &[Authenticity::Token("x-gitlab-token")],
    id: &["header:idempotency-key"],
    event_type: &["/object_kind", "/event_name", "header:x-gitlab-event"],
    secret: "the secret token of the webhook",
    address: "https://docs.gitlab.com/user/project/integrations/webhooks/",
    ..Pack::named("gitlab", "GitLab")
};

pub(super) static BITBUCKET: Pack = Pack {
    proofs: &[HUB_SHA256],
    id: &["header:x-request-uuid"],
    event_type: &["header:x-event-key"],
    time: &["/date"],
    secret: "the secret of the webhook",
    address: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    ..Pack::named("bitbucket", "Bitbucket")
};

/// `X-Hub-Signature: sha256=<hex>`.
const HUB_SHA256: Authenticity = Authenticity::Signed(Signed {
    prefix: "sha256=",
    ..Signed::hex(&["x-hub-signature"])
});

pub(super) static JIRA: Pack = Pack {
    proofs: &[HUB_SHA256],
    id: &["header:x-atlassian-webhook-identifier"],
    event_type: &["/webhookEvent"],
    time: &["/timestamp"],
    secret: "the secret of the webhook",
    address: "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
    ..Pack::named("jira", "Jira")
};

pub(super) static LINEAR: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["linear-signature"]))],
    id: &["header:linear-delivery"],
    event_type: &["/type"],
    time: &["/createdAt", "/webhookTimestamp"],
    secret: "the signing secret of the webhook (`lin_wh_…`)",
    address: "https://linear.app/developers/webhooks",
    ..Pack::named("linear", "Linear")
};

pub(super) static SENTRY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&[
        "sentry-hook-signature",
    ]))],
    id: &["header:request-id"],
    event_type: &["header:sentry-hook-resource"],
    time: &["header:sentry-hook-timestamp"],
    secret: "the client secret of the integration",
    address: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
    ..Pack::named("sentry", "Sentry")
};

pub(super) static PAGERDUTY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        separator: Some(','),
        prefix: "v1=",
        ..Signed::hex(&["x-pagerduty-signature"])
    })],
    id: &["/event/id"],
    event_type: &["/event/event_type"],
    time: &["/event/occurred_at"],
    secret: "the secret of the webhook subscription",
    address: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    ..Pack::named("pagerduty", "PagerDuty")
};

pub(super) static SLACK: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "v0:{timestamp}:{body}",
        prefix: "v0=",
        time_headers: &["x-slack-request-timestamp"],
        ..Signed::hex(&["x-slack-signature"])
    })],
    id: &["/event_id"],
    event_type: &["/event/type", "/type"],
    time: &["/event_time", "/minute_rate_limited"],
    challenges: &[Challenge::Slack],
    secret: "the signing secret of the app",
    address: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
    ..Pack::named("slack", "Slack")
};

pub(super) static DISCORD: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::Ed25519,
        key: Some(Encoding::Hex),
        template: "{timestamp}{body}",
        time_headers: &["x-signature-timestamp"],
        ..Signed::hex(&["x-signature-ed25519"])
    })],
    id: &["/id"],
    event_type: &["/event/type", "/type"],
    time: &["/event/timestamp"],
    times_are_utc: true,
    challenges: &[Challenge::Discord],
    secret: "the public key of the application, in hexadecimal digits",
    address: "https://discord.com/developers/docs/events/webhook-events",
    ..Pack::named("discord", "Discord")
};

pub(super) static ZOOM: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "v0:{timestamp}:{body}",
        prefix: "v0=",
        time_headers: &["x-zm-request-timestamp"],
        ..Signed::hex(&["x-zm-signature"])
    })],
    event_type: &["/event"],
    time: &["/event_ts"],
    challenges: &[Challenge::Zoom],
    secret: "the secret token of the app",
    address: "https://developers.zoom.us/docs/api/webhooks/",
    ..Pack::named("zoom", "Zoom")
};

pub(super) static TWILIO: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::HmacSha1,
        template: "{url}{params}",
        ..Signed::base64(&["x-twilio-signature"])
    })],
    id: &["header:i-twilio-idempotency-token"],
    event_type: &["/EventType", "/MessageStatus", "/SmsStatus", "/CallStatus"],
    secret: "the auth token of the account",
    address: "https://www.twilio.com/docs/usage/security",
    ..Pack::named("twilio", "Twilio")
};

pub(super) static SENDGRID: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::EcdsaP256,
        key: Some(Encoding::Base64),
        template: "{timestamp}{body}",
        time_headers: &["x-twilio-email-event-webhook-timestamp"],
        ..Signed::base64(&["x-twilio-email-event-webhook-signature"])
    })],
    id: &["/sg_event_id"],
    event_type: &["/event"],
    time: &["/timestamp"],
    secret: "the verification key of the event webhook, which is a public key",
    address: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
    ..Pack::named("sendgrid", "SendGrid")
};

pub(super) static META: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        prefix: "sha256=",
        ..Signed::hex(&["x-hub-signature-256"])
    })],
    event_type: &["/object"],
    time: &["/entry/0/time"],
    challenges: &[Challenge::Hub],
    secret: "the secret of the app",
    address: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    ..Pack::named("meta", "Meta (Facebook, Instagram, WhatsApp)")
};

pub(super) static TELEGRAM: Pack = Pack {
    proofs: &[Authenticity::Token("x-telegram-bot-api-secret-token")],
    id: &["/update_id"],
    event_type: &["/type"],
    time: &[
        "/message/date",
        "/edited_message/edit_date",
        "/channel_post/date",
    ],
    secret: "the `secret_token` that setWebhook was called with",
    address: "https://core.telegram.org/bots/api#setwebhook",
    ..Pack::named("telegram", "Telegram")
};
