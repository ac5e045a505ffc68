//! Providers that build and run programs and pages.

use super::pack::{Authenticity, Pack, Signed};
use crate::signature::{Algorithm, TimeForm};

pub(super) static GITEA: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&[
        "x-gitea-signature",
        "x-forgejo-signature",
    ]))],
    id: &["header:x-gitea-delivery", "header:x-forgejo-delivery"],
    event_type: &["header:x-gitea-event", "header:x-forgejo-event"],
    secret: "the secret of the webhook",
    address: "https://docs.gitea.com/usage/webhooks",
    ..Pack::named("gitea", "Gitea, Forgejo")
};

pub(super) static CIRCLECI: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        separator: Some(','),
        prefix: "v1=",
        ..Signed::hex(&["circleci-signature"])
    })],
    id: &["/id"],
    event_type: &["/type"],
    time: &["/happened_at"],
    secret: "the secret token of the webhook",
    address: "https://circleci.com/docs/webhooks/",
    ..Pack::named("circleci", "CircleCI")
};

/// It sends the token itself, or a signature, as the webhook is set up.
pub(super) static BUILDKITE: Pack = Pack {
    proofs: &[
        Authenticity::Signed(Signed {
            prefix: "signature=",
            time_prefix: "timestamp=",
            ..Signed::pairs(&["x-buildkite-signature"], "{timestamp}.{body}")
        }),
        Authenticity::Token("x-buildkite-token"),
    ],
    event_type: &["/event", "header:x-buildkite-event"],
    secret: "the token of the webhook",
    address: "https://buildkite.com/docs/apis/webhooks/pipelines",
    ..Pack::named("buildkite", "Buildkite")
};

/// What numbers the attempts changes when a delivery is sent again.
pub(super) static HEROKU: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "heroku-webhook-hmac-sha256",
    ]))],
    id: &["/webhook_metadata/event/id", "/id"],
    event_type: &["/webhook_metadata/event/include", "/resource"],
    time: &["/created_at"],
    secret: "the secret that the webhook was added with",
    address: "https://devcenter.heroku.com/articles/app-webhooks",
    ..Pack::named("heroku", "Heroku")
};

pub(super) static VERCEL: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::HmacSha1,
        ..Signed::hex(&["x-vercel-signature"])
    })],
    id: &["/id"],
    event_type: &["/type"],
    time: &["/createdAt"],
    secret: "the secret of the webhook, or of the integration",
    address: "https://vercel.com/docs/webhooks/webhooks-api",
    ..Pack::named("vercel", "Vercel")
};

pub(super) static WEBFLOW: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{timestamp}:{body}",
        time_headers: &["x-webflow-timestamp"],
        time_form: TimeForm::Millis,
        ..Signed::hex(&["x-webflow-signature"])
    })],
    event_type: &["/triggerType"],
    time: &["header:x-webflow-timestamp"],
    secret: "the secret of the webhook, or of the app",
    address: "https://developers.webflow.com/data/docs/working-with-webhooks",
    ..Pack::named("webflow", "Webflow")
};

pub(super) static LAUNCHDARKLY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["x-ld-signature"]))],
    id: &["/_id"],
    event_type: &["/kind"],
    time: &["/date"],
    secret: "the secret of the webhook",
    address: "https://launchdarkly.com/docs/home/infrastructure/webhooks",
    ..Pack::named("launchdarkly", "LaunchDarkly")
};

pub(super) static TERRAFORM: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::HmacSha512,
        ..Signed::hex(&["x-tfe-notification-signature"])
    })],
    event_type: &["/notifications/0/trigger"],
    time: &["/notifications/0/run_updated_at"],
    secret: "the token of the notification",
    address: "https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations",
    ..Pack::named("terraform", "HCP Terraform")
};
