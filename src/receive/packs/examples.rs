//! Requests that providers have signed: what they publish, or what their documented way of signing gives, computed
//! by another program.

/// A signed request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Example {
    /// The provider.
    pub(super) pack: &'static str,
    /// Where it is published, or where the way of signing is.
    pub(super) address: &'static str,
    /// Whether it is published as it is here.
    pub(super) is_published: bool,
    /// The secret, or the public key.
    pub(super) secret: &'static str,
    /// The headers that matter.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub(super) body: &'static str,
    /// The time of the signature, or 0 if it has none.
    pub(super) seconds: i64,
    /// The public URL, where it is signed.
    pub(super) url: &'static str,
    /// The query.
    pub(super) query: Option<&'static str>,
}

/// What most examples have in common: no time, no URL.
pub(super) const PLAIN: Example = Example {
    pack: "",
    address: "",
    is_published: false,
    secret: "",
    headers: &[],
    body: "",
    seconds: 0,
    url: "",
    query: None,
};

/// All of them.
#[rustfmt::skip]
pub(super) const EXAMPLES: &[Example] = &[
    Example {
        pack: "github",
        address: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        is_published: true,
        secret: "It's a Secret to Everybody",
        headers: &[("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        body: "Hello, World!",
        ..PLAIN
    },
    Example {
        pack: "bitbucket",
        address: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
        is_published: true,
        secret: "It's a Secret to Everybody",
        headers: &[("x-hub-signature", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9")],
        body: "Hello World!",
        ..PLAIN
    },
    Example {
        pack: "jira",
        address: "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
        is_published: true,
        secret: "It's a Secret to Everybody",
        headers: &[("x-hub-signature", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9")],
        body: "Hello World!",
        ..PLAIN
    },
    Example {
        pack: "linear",
        address: "https://linear.app/developers/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("linear-signature", "d170edba6751dbc79ebb93381e0584ced02a8e91ff33a22e40ff58e000f6e7a4")],
        body: r#"{"action":"create","type":"Issue","createdAt":"2026-11-20T17:00:00.000Z","webhookTimestamp":1700000000000}"#,
        ..PLAIN
    },
    Example {
        pack: "sentry",
        address: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("sentry-hook-signature", "4d2fec91ebcdde1284d49f91b7afdaeb7aa55d1cabe96a686f06daa511c5181c")],
        body: r#"{"action":"created","installation":{"uuid":"7a485448-a9e2-4c85-8a3c-4f44175783c9"}}"#,
        ..PLAIN
    },
    Example {
        pack: "pagerduty",
        address: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-pagerduty-signature", "v1=b28f44d83ca2fa91ac7ef203bb2d7b3ade26414317cd27b7e70b8bc0ec22eac2,v1=ebb75468a284afd93875dcb8ce82ed1c1512124ad998c1ba05c5ec71b79cc043")],
        body: r#"{"event":{"id":"01BUMZQCDM7MPMZPD8","event_type":"incident.triggered","occurred_at":"2026-11-20T17:00:00Z"}}"#,
        ..PLAIN
    },
    Example {
        pack: "slack",
        address: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
        is_published: true,
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"), ("x-slack-request-timestamp", "1531420618")],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        seconds: 1_531_420_618,
        ..PLAIN
    },
    Example {
        pack: "discord",
        address: "https://discord.com/developers/docs/events/webhook-events",
        is_published: false,
        secret: "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
        headers: &[("x-signature-ed25519", "f13a5acd1a30e21584036565d8e2a1bfaf3a8b5fd479ccf1ce4eeafc78c855e63ffcd1c62720382225b89a81776ad8f35de9d1d6d45b344903ee25dbf718f600"), ("x-signature-timestamp", "1700000000")],
        body: r#"{"version":1,"application_id":"1234560123453231555","type":1,"event":{"type":"APPLICATION_AUTHORIZED","timestamp":"2026-11-20T17:00:00.000000"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "zoom",
        address: "https://developers.zoom.us/docs/api/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-zm-signature", "v0=73cbb27fa9d24da27e5b2fc8ff9bddf3e6aec02911f65fbca625fcb38dac72e2"), ("x-zm-request-timestamp", "1700000000")],
        body: r#"{"event":"meeting.started","event_ts":1700000000123,"payload":{"account_id":"abc"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "twilio",
        address: "https://gist.github.com/ryanwinchester/ab49855e9acb7352507b8fa92ffe69d0",
        is_published: true,
        secret: "12345",
        headers: &[("x-twilio-signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="), ("content-type", "application/x-www-form-urlencoded")],
        body: "To=%2B18005551212&From=%2B12349013030&Digits=1234&Caller=%2B12349013030&CallSid=CA1234567890ABCDE",
        url: "https://mycompany.com/myapp.php",
        query: Some("foo=1&bar=2"),
        ..PLAIN
    },
    Example {
        pack: "sendgrid",
        address: "https://github.com/sendgrid/sendgrid-nodejs/blob/main/packages/eventwebhook/src/eventwebhook.spec.js",
        is_published: true,
        secret: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==",
        headers: &[("x-twilio-email-event-webhook-signature", "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="), ("x-twilio-email-event-webhook-timestamp", "1588788367")],
        body: r#"{"category":"example_payload","event":"test_event","message_id":"message_id"}"#,
        seconds: 1_588_788_367,
        ..PLAIN
    },
    Example {
        pack: "meta",
        address: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-hub-signature-256", "sha256=d3845199027cb82af986da2e00c7e8f0fba0d6fea01bf1fbcd11a7feff57f707")],
        body: r#"{"object":"page","entry":[{"id":"0","time":1700000000,"changes":[]}]}"#,
        ..PLAIN
    },
    Example {
        pack: "stripe",
        address: "https://docs.stripe.com/webhooks#verify-manually",
        is_published: false,
        secret: "whsec_a shared secret of ours",
        headers: &[("stripe-signature", "t=1700000000,v1=479da99e72a006b53fa9f9e0db5360d1f3c8fa4caaaa17526b959a84d7fb0e78,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39")],
        body: r#"{"id":"evt_1","type":"charge.succeeded","created":1700000000}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "paddle",
        address: "https://github.com/PaddleHQ/paddle-python-sdk/blob/main/tests/Unit/Notification/test_Verifier.py",
        is_published: true,
        secret: "pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_WvRO0eL4Bj9rgYYIBZY6wZhG4EHy9jzh",
        headers: &[("paddle-signature", "ts=1696195954;h1=dummy;h1=d96299976a6eb066f484d7fde011ac56fc32b38fc9940bc419d6e537fdc6ef02")],
        body: "hello-world",
        seconds: 1_696_195_954,
        ..PLAIN
    },
    Example {
        pack: "paystack",
        address: "https://paystack.com/docs/payments/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-paystack-signature", "523404c0f139ff264f9ca9d2ed5005dbc9e854876ed51ee185d986eaceb2ff45ff2a18580c8d9879602e508fc1366900dd4f5d75f3d3616d629eb4fae3c1ad2b")],
        body: r#"{"event":"charge.success","data":{"id":302961}}"#,
        ..PLAIN
    },
    Example {
        pack: "razorpay",
        address: "https://github.com/razorpay/razorpay-node/blob/master/test/utils/razorpay-utils.spec.js",
        is_published: true,
        secret: "123456",
        headers: &[("x-razorpay-signature", "2fe04e22977002e6c7cb553adab8b460cb9e2a4970d5953cb27a8472752e3bbc")],
        body: r#"{"a":1,"b":2,"c":{"d":3}}"#,
        ..PLAIN
    },
    Example {
        pack: "square",
        address: "https://developer.squareup.com/docs/webhooks/step3validate",
        is_published: true,
        secret: "asdf1234",
        headers: &[("x-square-hmacsha256-signature", "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og=")],
        body: r#"{"hello":"world"}"#,
        url: "https://example.com/webhook",
        query: None,
        ..PLAIN
    },
    Example {
        pack: "xero",
        address: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-xero-signature", "wXevaWkzfAm0y/Nxh0TxifTKAtBjwBHdZuPxEYflbqw=")],
        body: r#"{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#,
        ..PLAIN
    },
    Example {
        pack: "shopify",
        address: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-shopify-hmac-sha256", "0wXQvsKBdlzrgTaq2xW8I2+zlPGm/a3gj7jbzqzJZSU=")],
        body: r#"{"id":820982911946154508,"total_price":"9.50"}"#,
        ..PLAIN
    },
    Example {
        pack: "shopify",
        address: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("shopify-hmac-sha256", "0wXQvsKBdlzrgTaq2xW8I2+zlPGm/a3gj7jbzqzJZSU=")],
        body: r#"{"id":820982911946154508,"total_price":"9.50"}"#,
        ..PLAIN
    },
    Example {
        pack: "woocommerce",
        address: "https://woocommerce.com/document/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-wc-webhook-signature", "0wXQvsKBdlzrgTaq2xW8I2+zlPGm/a3gj7jbzqzJZSU=")],
        body: r#"{"id":820982911946154508,"total_price":"9.50"}"#,
        ..PLAIN
    },
    Example {
        pack: "hubspot",
        address: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-hubspot-signature-v3", "DsEiC+MaJ6EyE8LsKyQwMJ44onLG75TBeoYWquVlIbU="), ("x-hubspot-request-timestamp", "1700000000000")],
        body: r#"[{"eventId":531833541,"subscriptionType":"contact.creation","occurredAt":1700000000123,"attemptNumber":0}]"#,
        seconds: 1_700_000_000,
        url: "https://hooks.example.com/webhook/hubspot",
        query: Some("a=b%2Fc&d=e%20f"),
    },
    Example {
        pack: "intercom",
        address: "https://developers.intercom.com/docs/webhooks/setting-up-webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-hub-signature", "sha1=25d3727d679dbf063dbff8b76fac0a394c642854")],
        body: r#"{"type":"notification_event","id":"notif_1","topic":"user.created","created_at":1700000000,"delivery_attempts":1}"#,
        ..PLAIN
    },
    Example {
        pack: "zendesk",
        address: "https://developer.zendesk.com/documentation/webhooks/verifying/",
        is_published: false,
        secret: "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
        headers: &[("x-zendesk-webhook-signature", "6tlDA8UXyENEDNTovtGWyRnUavgAFu3zUrB6bojqZq8="), ("x-zendesk-webhook-signature-timestamp", "2023-11-14T22:13:20Z")],
        body: r#"{"id":"01J0","type":"zen:event-type:ticket.created","time":"2023-11-14T22:13:20.123456789Z"}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "typeform",
        address: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("typeform-signature", "sha256=qZLeLandFdua115JiVhmDJDnHV+KTCk2wTAKnC2I6As=")],
        body: r#"{"event_id":"01H","event_type":"form_response","form_response":{"submitted_at":"2026-11-20T17:00:00Z"}}"#,
        ..PLAIN
    },
    Example {
        pack: "calendly",
        address: "https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("calendly-webhook-signature", "t=1700000000,v1=ce45f8d74f16970df442ca3760a352c5d0d80c5cb3f3fc4567c9e78e68b63815")],
        body: r#"{"created_at":"2026-11-20T17:00:00.000000Z","event":"invitee.created","payload":{}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "docusign",
        address: "https://developers.docusign.com/platform/webhooks/connect/validate/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-docusign-signature-1", "GQzqAaclrUT4pnAAt0IA266PwBKyV6+64Sxbt8phMOY="), ("x-docusign-signature-2", "aC0nj90Q0P8N2fho8wDTrUGQmrR7vy0OczT7E9UHe9c=")],
        body: r#"{"event":"envelope-completed","retryCount":0,"generatedDateTime":"2026-11-20T17:00:00.0000000Z"}"#,
        ..PLAIN
    },
    Example {
        pack: "dropbox",
        address: "https://www.dropbox.com/developers/reference/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-dropbox-signature", "5ca9015b21ca0469495948481aa49bdb8f46432ae05de90d67cfdbdfbf8c87f8")],
        body: r#"{"list_folder":{"accounts":["dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"]}}"#,
        ..PLAIN
    },
    Example {
        pack: "mux",
        address: "https://www.mux.com/docs/core/verify-webhook-signatures",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("mux-signature", "t=1700000000,v1=d398b68e3891c7f7c8bdde68a6bdc3c8380802933aef3d320bb9b1530db7d957")],
        body: r#"{"type":"video.asset.ready","id":"3a56ac3d-33da-4366-855b-f592d898409d","created_at":"2026-11-20T17:00:00.000000Z"}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "standard",
        address: "https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py",
        is_published: true,
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1a,xxxx v1,AAAA v2,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")],
        body: r#"{"test": 2432232314}"#,
        seconds: 1_614_265_330,
        ..PLAIN
    },
    Example {
        pack: "standard",
        address: "https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py",
        is_published: true,
        secret: "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1a,xxxx v1,AAAA v2,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")],
        body: r#"{"test": 2432232314}"#,
        seconds: 1_614_265_330,
        ..PLAIN
    },
    Example {
        pack: "standard",
        address: "https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py",
        is_published: true,
        secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("svix-timestamp", "1614265330"), ("svix-signature", "v1a,xxxx v1,AAAA v2,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")],
        body: r#"{"test": 2432232314}"#,
        seconds: 1_614_265_330,
        ..PLAIN
    },
    Example {
        pack: "standard",
        address: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        is_published: false,
        secret: "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=",
        headers: &[("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,AAAA v1a,2iFnCkcL0nCB7d0lgaT5vmGnQgJl4zcl9qd7UbPYvulcwR3MRYzjXT2JCSEV4dFH3XNALA4OW0zY5fFdGv9GBA==")],
        body: r#"{"test": 2432232314}"#,
        seconds: 1_614_265_330,
        ..PLAIN
    },
];
