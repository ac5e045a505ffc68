//! More requests that providers have signed: what their documented way of signing gives, computed by Python and openssl.

use super::examples::{Example, PLAIN};

/// All of them.
#[rustfmt::skip]
pub(super) const FURTHER: &[Example] = &[
    Example {
        pack: "gitea",
        address: "https://docs.gitea.com/usage/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-gitea-signature", "55b1346538bff7ad1a7ab8f89044dde2beedef8d3324bafdbfa13d3e9021ae9f")],
        body: r#"{"ref":"refs/heads/main","after":"bffeb74224043ba2feb48d137756c8a9331c449a"}"#,
        ..PLAIN
    },
    Example {
        pack: "gitea",
        address: "https://forgejo.org/docs/latest/user/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-forgejo-signature", "55b1346538bff7ad1a7ab8f89044dde2beedef8d3324bafdbfa13d3e9021ae9f")],
        body: r#"{"ref":"refs/heads/main","after":"bffeb74224043ba2feb48d137756c8a9331c449a"}"#,
        ..PLAIN
    },
    Example {
        pack: "circleci",
        address: "https://circleci.com/docs/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("circleci-signature", "v1=9e6222c5ba182cd6dcc684807be25beb6c917fc2cadf39ff643cc8c506f6e34c,v2=00")],
        body: r#"{"id":"3888f21b-eaa7-38e3-8f3d-75a63bba8895","type":"workflow-completed","happened_at":"2021-09-01T22:49:34.317Z"}"#,
        ..PLAIN
    },
    Example {
        pack: "buildkite",
        address: "https://buildkite.com/docs/apis/webhooks/pipelines",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-buildkite-signature", "timestamp=1700000000,signature=230458342e5a3ca9cc4f9d46932defe1f61404e03503deef07c57288e87f011d")],
        body: r#"{"event":"build.finished","build":{"id":"f62a1b4d-10f9-4790-bc1c-e2c3a0c80983"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "heroku",
        address: "https://devcenter.heroku.com/articles/app-webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("heroku-webhook-hmac-sha256", "pUOIZjzhHdjc0A5wpMDFQmaFAAYVr2+jjXlSbHPhfqI=")],
        body: r#"{"id":"01234567-89ab-cdef-0123-456789abcdef","resource":"app","created_at":"2016-08-02T22:40:09Z"}"#,
        ..PLAIN
    },
    Example {
        pack: "vercel",
        address: "https://vercel.com/docs/webhooks/webhooks-api",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-vercel-signature", "9c5482e57934f303547812a88dc8d45177d58dfe")],
        body: r#"{"id":"evt_1","type":"deployment.created","createdAt":1700000000000}"#,
        ..PLAIN
    },
    Example {
        pack: "webflow",
        address: "https://developers.webflow.com/data/docs/working-with-webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-webflow-signature", "1825b269704043c9de0da0b12cc1d496adcd08ec9c1f3652961f24211afb7e3a"), ("x-webflow-timestamp", "1700000000000")],
        body: r#"{"triggerType":"form_submission","payload":{"name":"Contact"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "launchdarkly",
        address: "https://launchdarkly.com/docs/home/infrastructure/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-ld-signature", "a20e41d046714ffdcb1f6a38bcea6f09e2441159e0fa9d4998cdc7e63de8aa22")],
        body: r#"{"_id":"57c0a8e29969090743529965","kind":"flag","date":1700000000123}"#,
        ..PLAIN
    },
    Example {
        pack: "terraform",
        address: "https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-tfe-notification-signature", "632baef23cce1b7e99f4c48584464214cac968c0c9e9dc094a4294c0927b74a42777faef8840174cb62dc939d51954a074219ebd1fa2ac2725c5344f035dd134")],
        body: r#"{"payload_version":1,"notifications":[{"trigger":"run:completed","run_updated_at":"2020-01-01T00:00:00.000Z"}]}"#,
        ..PLAIN
    },
    Example {
        pack: "twitch",
        address: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("twitch-eventsub-message-id", "e76c6bd4-55c9-4987-8304-da1588d8988b"), ("twitch-eventsub-message-timestamp", "2023-11-14T22:13:20.634234626Z"), ("twitch-eventsub-message-signature", "sha256=94d9ca1811770d3ae4f5f2c1939ad8d7fd12b03fb4bcce6057fa62e95dcb7575")],
        body: r#"{"subscription":{"id":"f1c2a387-161a-49f9-a165-0f21d7a4e1c4","type":"channel.follow"},"event":{"user_id":"1337"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "line",
        address: "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-line-signature", "rO6p/jFy414rmcoOtOZ3Q+DCgiQHyXKSv0rjJMjKVf0=")],
        body: r#"{"destination":"xxxxxxxxxx","events":[{"type":"message","timestamp":1700000000123,"webhookEventId":"01FZ74A0TDDPYRVKNK77XKC3ZR","deliveryContext":{"isRedelivery":false}}]}"#,
        ..PLAIN
    },
    Example {
        pack: "todoist",
        address: "https://developer.todoist.com/api/v1/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-todoist-hmac-sha256", "ceh+pk2tPq6sV++WFltew1q0XFzs0Jvtm+c7VlVsIYU=")],
        body: r#"{"event_name":"item:added","user_id":"2671355","triggered_at":"2025-01-01T00:00:00.000000Z"}"#,
        ..PLAIN
    },
    Example {
        pack: "clickup",
        address: "https://developer.clickup.com/docs/webhooksignature",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-signature", "f97c7481043ee96d72d4b19f60fd32d02f413cde357d394cdcf3c80fa09ac315")],
        body: r#"{"event":"taskCreated","history_items":[{"id":"2800763136717140857","date":"1642734631523"}],"task_id":"1vj37mc"}"#,
        ..PLAIN
    },
    Example {
        pack: "box",
        address: "https://developer.box.com/guides/webhooks/v2/signatures-v2",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("box-signature-primary", "v8VOsqIPVqJyI+BqJOoDbQ0JY1N3I5DDiCzZ/l+eU+w="), ("box-signature-secondary", "IfD7OuyMl+FWgV3vZSebJaLtjEjQ36CziOvmbAOr5K4="), ("box-delivery-timestamp", "2023-11-14T22:13:20+00:00")],
        body: r#"{"type":"webhook_event","id":"0f66ee76-e1d9-41fb-9d9d-1ff4d8c0f2a5","trigger":"FILE.UPLOADED","created_at":"2016-07-11T10:10:32-07:00"}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "elevenlabs",
        address: "https://elevenlabs.io/docs/overview/administration/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("elevenlabs-signature", "t=1700000000,v0=92165f4e41b08dbae5dd1129137b47c07bdb8fbfc344c340bb76f4d9d0066130")],
        body: r#"{"type":"post_call_transcription","event_timestamp":1700000000,"data":{"conversation_id":"abc"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "hookdeck",
        address: "https://hookdeck.com/docs/authentication",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-hookdeck-signature", "ua9fm0zCaF39ZKQ9xC3+sPX6DdOmOwcLs652AIq/RfU="), ("x-hookdeck-signature-2", "kBbO80GWhtbGe/xSBSI6+B0K/GDv6ErJNEKyi7qZL7E=")],
        body: r#"{"type":"order.created"}"#,
        ..PLAIN
    },
    Example {
        pack: "customerio",
        address: "https://docs.customer.io/journeys/webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-cio-signature", "dc7cd9513a0bbf542580770914f432bb8d769dd4715ae7cacd16f1da64854c12"), ("x-cio-timestamp", "1700000000")],
        body: r#"{"event_id":"01E4C4CT6YDC7Y5M7FE1GWWPQJ","object_type":"email","metric":"opened","timestamp":1700000000}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "lemonsqueezy",
        address: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-signature", "68b0c2a3791838684fbc1e7d33c70c110c1268879a9eaf9924f58446cd1cb87c")],
        body: r#"{"meta":{"event_name":"subscription_created"},"data":{"type":"subscriptions","id":"1"}}"#,
        ..PLAIN
    },
    Example {
        pack: "gocardless",
        address: "https://developer.gocardless.com/getting-started/api/staying-up-to-date-with-webhooks/",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("webhook-signature", "fda8a86ea5939846b3b96d831cb17ac9bd3afcb5aea473a5b369ace58f01902b")],
        body: r#"{"events":[{"id":"EV00BD05S5VM2T","created_at":"2018-07-05T09:13:51.404Z","resource_type":"subscriptions","action":"created"}],"meta":{"webhook_id":"WB123"}}"#,
        ..PLAIN
    },
    Example {
        pack: "coinbase",
        address: "https://docs.cdp.coinbase.com/commerce/docs/webhooks-security",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("x-cc-webhook-signature", "514ebcd4b60a845a1419f8b9d1942bca289e021bcfc018b968a639ef393ac8dc")],
        body: r#"{"id":1,"event":{"id":"24934862-d980-46cb-9402-43c81b0cdba6","type":"charge:created","created_at":"2017-01-31T20:49:02Z"}}"#,
        ..PLAIN
    },
    Example {
        pack: "workos",
        address: "https://workos.com/docs/events/data-syncing/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("workos-signature", "t=1700000000000, v1=1e1016055652cb350872592d16fa2e65b37362c6432bc07fbe871618d5d4c084")],
        body: r#"{"id":"event_01","event":"dsync.activated","created_at":"2023-11-14T22:13:20.000Z"}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "sanity",
        address: "https://www.sanity.io/docs/webhooks",
        is_published: false,
        secret: "a shared secret of ours",
        headers: &[("sanity-webhook-signature", "t=1700000000000,v1=sXEuf4O4V2HmHbOdFE2JgStr0AHq0OhA5W9sYzon1_A")],
        body: r#"{"_id":"drafts.1","_type":"post"}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
    Example {
        pack: "wise",
        address: "https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling",
        is_published: false,
        secret: "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoAdWdDKqsBG5IgYSj4IaQFRrTImTrK6u52NYI7y4pa/mQXTCkpVsrQcIydfFYbZZzLDZvxuq6g/UVA3PL6HhEuriXGu6o6aCEnAjwbU36iwLnFshXIo95H+/nK+ehgu2u0BV2nJUqDcSbKLWFwFVWKboUJl1Jolc7MPQZcswDISS0hGJ5oIIDMKpQiJ6j+0rJLugiS1MF4zQobZ0gONzcgZKs/7atEGnH3SJDxIyWqn10gFFFlgZ4IMs6xjqcGbY2kvncGn4iUL2LrjAyZNZ8PU5Ubm0SmioNDLtZ9HA5NJbImpKNLprqrVYu6JxQhKWmUf97AW8dUPqVQf984xLuQIDAQAB",
        headers: &[("x-signature-sha256", "hBpAXsgcEbD4g0k+6+hdX4ouNd0unpumrkV22v5VV2guUQgoNfilC5AcJDpkE8iVsxlkGNFQK/etDpgUW50o/FjkkrM0/x+NVEHTfdoVSyESVHWHVIM6+dqCdZCucpR0Ys+dg+6Qy8apmXSFLRTdpVw3qddgx2ZoGkPCLYt1HTAaJSghHQ60IERAGCnMoc8HKdu5rrmkQTZbUKIG69C5FYRFsvwHMSE2HrpPbElu4JkO5QzmEXte/pIKHzbC0nz0aDQwofNKPX//n6zd01vzfB6BpKTqgeSylGtSzi6R6TMenECKufkenjKS8httpFN4aBxsV+OOQ7R0qXXBqaHbiA==")],
        body: r#"{"data":{"resource":{"id":111}},"subscription_id":"01234567","event_type":"transfers#state-change","schema_version":"2.0.0","sent_at":"2020-01-01T12:34:56Z"}"#,
        ..PLAIN
    },
    Example {
        pack: "telnyx",
        address: "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
        is_published: false,
        secret: "4IA4bCafSvufztRW5vdalP4pffUfZvIsxVJq1QrhT3I=",
        headers: &[("telnyx-signature-ed25519", "c38IZ4Ptpzidbv6MIqyKHEvlNDJfRrrObcYVnDbPOE0Ci8VLcgLkfGIxsAIbPQVxYbRy7zuFDzimlHgc4+j5CA=="), ("telnyx-timestamp", "1700000000")],
        body: r#"{"data":{"event_type":"message.finalized","id":"3691d047-d22b-415a-8fb0-0c871d8d2d3b","occurred_at":"2023-11-14T22:13:20.000Z"}}"#,
        seconds: 1_700_000_000,
        ..PLAIN
    },
];
