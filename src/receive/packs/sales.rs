//! Providers of payments, shops, customers and documents.

use super::pack::{Authenticity, Challenge, Pack, Signed};
use crate::signature::{Algorithm, Encoding, TimeForm};

pub(super) static STRIPE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::pairs(
        &["stripe-signature"],
        "{timestamp}.{body}",
    ))],
    id: &["/id"],
    event_type: &["/type"],
    time: &["/created"],
    secret: "the signing secret of the endpoint (`whsec_…`)",
    address: "https://docs.stripe.com/webhooks#verify-manually",
    ..Pack::named("stripe", "Stripe")
};

pub(super) static PADDLE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        separator: Some(';'),
        prefix: "h1=",
        time_prefix: "ts=",
        ..Signed::pairs(&["paddle-signature"], "{timestamp}:{body}")
    })],
    id: &["/event_id"],
    event_type: &["/event_type"],
    time: &["/occurred_at"],
    secret: "the secret key of the notification destination (`pdl_ntfset_…`)",
    address: "https://developer.paddle.com/webhooks/signature-verification",
    ..Pack::named("paddle", "Paddle")
};

pub(super) static PAYSTACK: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::HmacSha512,
        ..Signed::hex(&["x-paystack-signature"])
    })],
    event_type: &["/event"],
    secret: "the secret key of the account (`sk_…`)",
    address: "https://paystack.com/docs/payments/webhooks/",
    ..Pack::named("paystack", "Paystack")
};

pub(super) static RAZORPAY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["x-razorpay-signature"]))],
    id: &["header:x-razorpay-event-id"],
    event_type: &["/event"],
    time: &["/created_at"],
    secret: "the secret of the webhook",
    address: "https://razorpay.com/docs/webhooks/validate-test/",
    ..Pack::named("razorpay", "Razorpay")
};

pub(super) static SQUARE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{url}{body}",
        ..Signed::base64(&["x-square-hmacsha256-signature"])
    })],
    id: &["/event_id"],
    event_type: &["/type"],
    time: &["/created_at"],
    secret: "the signature key of the subscription",
    address: "https://developer.squareup.com/docs/webhooks/step3validate",
    ..Pack::named("square", "Square")
};

pub(super) static XERO: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&["x-xero-signature"]))],
    event_type: &["/events/0/eventType"],
    time: &["/events/0/eventDateUtc"],
    times_are_utc: true,
    secret: "the webhooks key of the app",
    address: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
    ..Pack::named("xero", "Xero")
};

pub(super) static SHOPIFY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "x-shopify-hmac-sha256",
        "shopify-hmac-sha256",
    ]))],
    id: &["header:x-shopify-webhook-id", "header:shopify-webhook-id"],
    event_type: &["header:x-shopify-topic", "header:shopify-topic"],
    time: &[
        "header:x-shopify-triggered-at",
        "header:shopify-triggered-at",
    ],
    secret: "the client secret of the app",
    address: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    ..Pack::named("shopify", "Shopify")
};

pub(super) static WOOCOMMERCE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "x-wc-webhook-signature",
    ]))],
    id: &["header:x-wc-webhook-delivery-id"],
    event_type: &["header:x-wc-webhook-topic"],
    challenges: &[Challenge::WooCommerce],
    secret: "the secret of the webhook",
    address: "https://woocommerce.com/document/webhooks/",
    ..Pack::named("woocommerce", "WooCommerce")
};

pub(super) static HUBSPOT: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{method}{url_decoded}{body}{timestamp}",
        time_headers: &["x-hubspot-request-timestamp"],
        time_form: TimeForm::Millis,
        ..Signed::base64(&["x-hubspot-signature-v3"])
    })],
    id: &["/eventId"],
    event_type: &["/subscriptionType"],
    time: &["/occurredAt"],
    ignore: &["/attemptNumber"],
    secret: "the client secret of the app",
    address: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
    ..Pack::named("hubspot", "HubSpot")
};

pub(super) static INTERCOM: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::HmacSha1,
        prefix: "sha1=",
        ..Signed::hex(&["x-hub-signature"])
    })],
    id: &["/id"],
    event_type: &["/topic"],
    time: &["/created_at"],
    ignore: &["/delivery_attempts", "/first_sent_at"],
    secret: "the client secret of the app",
    address: "https://developers.intercom.com/docs/webhooks/setting-up-webhooks",
    ..Pack::named("intercom", "Intercom")
};

pub(super) static ZENDESK: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        template: "{timestamp}{body}",
        time_headers: &["x-zendesk-webhook-signature-timestamp"],
        time_form: TimeForm::Rfc3339,
        ..Signed::base64(&["x-zendesk-webhook-signature"])
    })],
    id: &["header:x-zendesk-webhook-invocation-id"],
    event_type: &["/type"],
    time: &["/time"],
    secret: "the signing secret of the webhook",
    address: "https://developer.zendesk.com/documentation/webhooks/verifying/",
    ..Pack::named("zendesk", "Zendesk")
};

pub(super) static TYPEFORM: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        prefix: "sha256=",
        ..Signed::base64(&["typeform-signature"])
    })],
    id: &["/event_id"],
    event_type: &["/event_type"],
    time: &["/form_response/submitted_at"],
    secret: "the secret of the webhook",
    address: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    ..Pack::named("typeform", "Typeform")
};

pub(super) static CALENDLY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::pairs(
        &["calendly-webhook-signature"],
        "{timestamp}.{body}",
    ))],
    event_type: &["/event"],
    time: &["/created_at"],
    secret: "the signing key of the subscription",
    address: "https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
    ..Pack::named("calendly", "Calendly")
};

pub(super) static DOCUSIGN: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::base64(&[
        "x-docusign-signature-1",
        "x-docusign-signature-2",
        "x-docusign-signature-3",
        "x-docusign-signature-4",
    ]))],
    event_type: &["/event"],
    time: &["/generatedDateTime"],
    ignore: &["/retryCount"],
    secret: "the Connect key of the account",
    address: "https://developers.docusign.com/platform/webhooks/connect/validate/",
    ..Pack::named("docusign", "DocuSign Connect")
};

/// A notification only says that something has changed, so two equal ones are two events.
pub(super) static DROPBOX: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["x-dropbox-signature"]))],
    id: &["none"],
    event_type: &["/type"],
    challenges: &[Challenge::Echo("challenge")],
    secret: "the secret of the app",
    address: "https://www.dropbox.com/developers/reference/webhooks",
    ..Pack::named("dropbox", "Dropbox")
};

pub(super) static MUX: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::pairs(
        &["mux-signature"],
        "{timestamp}.{body}",
    ))],
    id: &["/id"],
    event_type: &["/type"],
    time: &["/created_at"],
    secret: "the signing secret of the webhook",
    address: "https://www.mux.com/docs/core/verify-webhook-signatures",
    ..Pack::named("mux", "Mux")
};

pub(super) static LEMONSQUEEZY: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["x-signature"]))],
    event_type: &["/meta/event_name", "header:x-event-name"],
    time: &["/data/attributes/updated_at"],
    secret: "the signing secret of the webhook",
    address: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
    ..Pack::named("lemonsqueezy", "Lemon Squeezy")
};

/// A delivery holds a list of events, and is one event here.
pub(super) static GOCARDLESS: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&["webhook-signature"]))],
    id: &["/meta/webhook_id", "content"],
    event_type: &["/events/0/resource_type"],
    time: &["/events/0/created_at"],
    secret: "the secret of the endpoint",
    address: "https://developer.gocardless.com/getting-started/api/staying-up-to-date-with-webhooks/",
    ..Pack::named("gocardless", "GoCardless")
};

pub(super) static COINBASE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed::hex(&[
        "x-cc-webhook-signature",
    ]))],
    id: &["/event/id"],
    event_type: &["/event/type"],
    time: &["/event/created_at"],
    secret: "the shared secret of the webhook",
    address: "https://docs.cdp.coinbase.com/commerce/docs/webhooks-security",
    ..Pack::named("coinbase", "Coinbase Commerce")
};

pub(super) static WISE: Pack = Pack {
    proofs: &[Authenticity::Signed(Signed {
        algorithm: Algorithm::RsaSha256,
        key: Some(Encoding::Base64),
        ..Signed::base64(&["x-signature-sha256"])
    })],
    id: &["header:x-delivery-id", "content"],
    event_type: &["/event_type"],
    time: &["/sent_at", "/data/occurred_at"],
    secret: "the public key of Wise (without its first and last line, in one line)",
    address: "https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling",
    ..Pack::named("wise", "Wise")
};
