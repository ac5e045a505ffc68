//! The list of all packs, and those that belong to no provider.

use super::builds::{BUILDKITE, CIRCLECI, GITEA, HEROKU, LAUNCHDARKLY, TERRAFORM, VERCEL, WEBFLOW};
use super::clients::{CLOUD_EVENTS, POSTHOG, SEGMENT, SNS};
use super::pack::{Authenticity, Pack, Signed};
use super::platforms::{
    BITBUCKET, DISCORD, GITHUB, GITLAB, JIRA, LINEAR, META, PAGERDUTY, SENDGRID, SENTRY, SLACK,
    TELEGRAM, TWILIO, ZOOM,
};
use super::sales::{
    CALENDLY, COINBASE, DOCUSIGN, DROPBOX, GOCARDLESS, HUBSPOT, INTERCOM, LEMONSQUEEZY, MUX,
    PADDLE, PAYSTACK, RAZORPAY, SHOPIFY, SQUARE, STRIPE, TYPEFORM, WISE, WOOCOMMERCE, XERO,
    ZENDESK,
};
use super::services::{
    BOX, CLICKUP, CUSTOMERIO, ELEVENLABS, HOOKDECK, LINE, SANITY, TELNYX, TODOIST, TWITCH, WORKOS,
};
use crate::signature::{Algorithm, Encoding};

/// Standard Webhooks, and Svix, whose headers have other names. `v1` are symmetric signatures, `v1a` are Ed25519.
pub static STANDARD: Pack = Pack {
    proofs: &[
        Authenticity::Signed(STANDARD_V1),
        Authenticity::Signed(Signed {
            algorithm: Algorithm::Ed25519,
            prefix: "v1a,",
            key_prefixes: &["v1a,whpk_", "whpk_"],
            key_needs_prefix: true,
            ..STANDARD_V1
        }),
    ],
    id: &["header:webhook-id", "header:svix-id"],
    event_type: &["/type", "/event_type", "/eventType"],
    time: &["/timestamp"],
    secret: "the endpoint's secret (`whsec_…`), or its public key (`whpk_…`)",
    address: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    ..Pack::named("standard", "Standard Webhooks, Svix")
};

const STANDARD_V1: Signed = Signed {
    encoding: Encoding::Base64,
    key: Some(Encoding::Base64),
    key_prefixes: &["v1,whsec_", "whsec_"],
    template: "{id}.{timestamp}.{body}",
    separator: Some(' '),
    prefix: "v1,",
    time_headers: &["webhook-timestamp", "svix-timestamp"],
    id_headers: &["webhook-id", "svix-id"],
    ..Signed::hex(&["webhook-signature", "svix-signature"])
};

/// A provider without a pack, whose scheme stands in the configuration.
pub static GENERIC: Pack = Pack {
    id: &["/id"],
    secret: "the key of the signature",
    ..Pack::named("hmac", "any other provider")
};

/// All packs, in the order in which the documentation lists them.
pub static PACKS: [&Pack; 59] = [
    &STANDARD,
    &GITHUB,
    &GITLAB,
    &GITEA,
    &BITBUCKET,
    &JIRA,
    &LINEAR,
    &SENTRY,
    &PAGERDUTY,
    &CIRCLECI,
    &BUILDKITE,
    &TERRAFORM,
    &HEROKU,
    &VERCEL,
    &WEBFLOW,
    &SANITY,
    &LAUNCHDARKLY,
    &WORKOS,
    &HOOKDECK,
    &SLACK,
    &DISCORD,
    &ZOOM,
    &TWITCH,
    &LINE,
    &TWILIO,
    &SENDGRID,
    &TELNYX,
    &CUSTOMERIO,
    &ELEVENLABS,
    &META,
    &TELEGRAM,
    &TODOIST,
    &CLICKUP,
    &BOX,
    &STRIPE,
    &PADDLE,
    &PAYSTACK,
    &RAZORPAY,
    &SQUARE,
    &XERO,
    &GOCARDLESS,
    &COINBASE,
    &WISE,
    &LEMONSQUEEZY,
    &SHOPIFY,
    &WOOCOMMERCE,
    &HUBSPOT,
    &INTERCOM,
    &ZENDESK,
    &TYPEFORM,
    &CALENDLY,
    &DOCUSIGN,
    &DROPBOX,
    &MUX,
    &SEGMENT,
    &POSTHOG,
    &CLOUD_EVENTS,
    &SNS,
    &GENERIC,
];

/// The pack with that name.
pub fn find(name: &str) -> Option<&'static Pack> {
    PACKS.iter().copied().find(|pack| pack.name == name)
}
