//! Topics of Amazon SNS: who signed a message, which certificates are fetched, and which subscriptions are confirmed.

use serde_json::{Value, json};

use super::connect;
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http::Answer;
use crate::support::process::Setup;
use crate::support::sns::{HOST, Sns, TOPIC};

const NOTIFICATION: &str = "Notification";

fn setup(sns: &Sns, more: &str) -> Setup {
    let mut setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.sales]\nscheme = \"sns\"\ntopics = [\"{TOPIC}\"]\n{more}"
    ));
    for (name, value) in sns.env(setup.directory()) {
        setup = setup.env(name, &value);
    }
    setup
}

/// Posts a message as SNS does.
fn post(setup: &Setup, message: &Value) -> Answer {
    let headers = [
        ("content-type", "text/plain; charset=UTF-8"),
        ("x-amz-sns-message-type", message["Type"].as_str().unwrap()),
    ];
    let body = message.to_string();
    connect(setup)
        .request("POST", "/webhook/sales", &headers, body.as_bytes())
        .unwrap()
}

#[test]
fn signed_messages_of_listed_topics_are_taken_once() {
    let sns = Sns::start();
    let setup = setup(&sns, "");
    let program = setup.start();
    let members = [
        ("MessageId", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"),
        ("Subject", "sold"),
        ("Message", "{\"total\":\"9.50\"}\n"),
    ];
    let message = sns.message(NOTIFICATION, "good.pem", &members);
    assert_eq!(post(&setup, &message).json()["accepted"], 1);
    // Sent again, and replayed by somebody who changed what is not signed.
    let mut changed = message.clone();
    changed["UnsubscribeURL"] = json!("https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe");
    for again in [&message, &changed] {
        assert_eq!(post(&setup, again).json()["duplicates"], 1);
    }
    let other = sns.message(
        NOTIFICATION,
        "good.pem",
        &[
            ("MessageId", "m2"),
            ("Message", "{}"),
            ("TopicArn", "arn:aws:sns:eu-west-1:999999999999:sales"),
        ],
    );
    let mut tampered = message.clone();
    tampered["Message"] = json!("{\"total\":\"0.00\"}\n");
    let old = sns.message(
        NOTIFICATION,
        "good.pem",
        &[
            ("MessageId", "m3"),
            ("Message", "{}"),
            ("Timestamp", "2026-01-01T00:00:00.000Z"),
        ],
    );
    for (refused, kind) in [
        (&other, "unknown-topic"),
        (&tampered, "bad-signature"),
        (&old, "bad-signature"),
        (
            &json!({"Type": NOTIFICATION, "Message": "unsigned"}),
            "bad-signature",
        ),
    ] {
        let answer = post(&setup, refused);
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.text().contains(kind), "{}", answer.text());
    }
    // One certificate, fetched once.
    assert_eq!(sns.asked(), [format!("{HOST}:443/good.pem")]);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["event_id"], "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
    assert!(rows[0]["properties"].to_string().contains("9.50"));
}

#[test]
fn certificates_come_from_sns_alone_and_within_bounds() {
    let sns = Sns::start();
    let setup = setup(&sns, "");
    let program = setup.start();
    let members = [("MessageId", "m1"), ("Message", "{}")];
    for certificate in [
        "absent.pem",
        "huge.pem",
        "text.pem",
        "moved.pem",
        "expired.pem",
    ] {
        let message = sns.message(NOTIFICATION, certificate, &members);
        for _ in 0..2 {
            let answer = post(&setup, &message);
            assert_eq!(answer.status, 503, "{certificate}: {}", answer.text());
            assert!(
                answer.text().contains("no-certificate"),
                "{}",
                answer.text()
            );
            assert!(answer.header("retry-after").is_some());
        }
        let asked = sns.asked();
        let path = format!("{HOST}:443/{certificate}");
        assert_eq!(asked.iter().filter(|asked| **asked == path).count(), 1);
    }
    let before = sns.asked().len();
    for url in [
        "https://sns.eu-west-1.amazonaws.com.evil.example.com/good.pem",
        "https://bucket.s3.amazonaws.com/good.pem",
        "http://sns.eu-west-1.amazonaws.com/good.pem",
        "https://sns.eu-west-1.amazonaws.com/good.pem?x",
        "https://sns.eu-west-1.amazonaws.com/a/good.pem",
        "file:///etc/passwd",
    ] {
        let mut message = sns.message(NOTIFICATION, "good.pem", &members);
        message["SigningCertURL"] = json!(url);
        assert_eq!(post(&setup, &message).status, 401, "{url}");
    }
    assert_eq!(sns.asked().len(), before, "{:?}", sns.asked());
    // Whoever knows a topic cannot have any number of URLs asked for.
    for number in 0..20 {
        let message = sns.message(NOTIFICATION, &format!("{number}.pem"), &members);
        assert_eq!(post(&setup, &message).status, 503);
    }
    assert_eq!(sns.asked().len(), 16);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/events").exists());
}

#[test]
fn a_subscription_is_confirmed_where_its_message_is_signed_and_its_topic_listed() {
    let sns = Sns::start();
    let setup = setup(&sns, "confirm = true\n");
    let program = setup.start();
    let question = |topic: &str, url: &str| {
        let members = [
            ("MessageId", "m1"),
            ("Message", "You have chosen to subscribe."),
            ("Token", "2336412f37"),
            ("TopicArn", topic),
            ("SubscribeURL", url),
        ];
        sns.message("SubscriptionConfirmation", "good.pem", &members)
    };
    let confirming =
        |token: &str| format!("https://{HOST}/?Action=ConfirmSubscription&Token={token}");
    let confirmed = post(&setup, &question(TOPIC, &confirming("2336412f37")));
    assert_eq!(confirmed.status, 204, "{}", confirmed.text());
    let path = format!("{HOST}:443/?Action=ConfirmSubscription&Token=2336412f37");
    assert!(sns.asked().contains(&path), "{:?}", sns.asked());

    // SNS asks again if it is told so.
    let stale = post(&setup, &question(TOPIC, &confirming("stale")));
    assert_eq!(stale.status, 503, "{}", stale.text());
    assert!(stale.text().contains("not-confirmed"), "{}", stale.text());
    assert!(
        setup.stderr().contains("SNS answered 404"),
        "{}",
        setup.stderr()
    );

    let before = sns.asked().len();
    let elsewhere = question(
        TOPIC,
        "https://bucket.s3.amazonaws.com/?Action=ConfirmSubscription",
    );
    assert_eq!(post(&setup, &elsewhere).status, 204);
    let foreign = question("arn:aws:sns:eu-west-1:999999999999:sales", &confirming("1"));
    assert_eq!(post(&setup, &foreign).status, 401);
    let mut forged = question(TOPIC, &confirming("1"));
    forged["SubscribeURL"] = json!(confirming("2"));
    assert_eq!(post(&setup, &forged).status, 401);
    assert_eq!(sns.asked().len(), before, "{:?}", sns.asked());

    let members = [
        ("MessageId", "m2"),
        ("Message", "You have chosen to deactivate subscription."),
        ("Token", "2336412f38"),
        ("SubscribeURL", &*confirming("2336412f38")),
    ];
    let ended = sns.message("UnsubscribeConfirmation", "good.pem", &members);
    assert_eq!(post(&setup, &ended).status, 204);
    assert!(setup.stderr().contains("has ended"), "{}", setup.stderr());
    assert_eq!(sns.asked().len(), before, "{:?}", sns.asked());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/events").exists());
}
