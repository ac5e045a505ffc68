//! The S3 server, seen by the client that lakehook uses.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::primitives::ByteStream;

use crate::support::s3::{BUCKET, Chances, Fault, KEY, Object, Query, S3Server, Store};

/// A client that tries once, and gives up after two seconds.
pub(super) fn client(endpoint: &str) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(2))
        .build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(KEY, KEY, None, None, "laboratory"))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

/// Puts on the condition that there is nothing yet; 200, the error's status, or 0 without answer.
pub(super) async fn put_if_absent(client: &Client, key: &str, body: &str) -> u16 {
    let body = ByteStream::from(body.as_bytes().to_vec());
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .if_none_match("*")
        .body(body);
    match put.send().await {
        Ok(_) => 200,
        Err(error) => error
            .raw_response()
            .map_or(0, |answer| answer.status().as_u16()),
    }
}

#[tokio::test]
async fn of_racing_conditional_puts_exactly_one_wins() {
    let server = S3Server::start(1);
    let client = client(&server.endpoint());
    for round in 0..5 {
        let key = format!("events/{round}");
        let mut racing = tokio::task::JoinSet::new();
        for racer in 0..32 {
            let (client, key) = (client.clone(), key.clone());
            racing.spawn(async move { put_if_absent(&client, &key, &racer.to_string()).await });
        }
        let statuses = racing.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 31);
    }
    let counts = server.faults().counts();
    assert_eq!((counts.puts, counts.applied, counts.replaced), (160, 5, 0));
}

#[tokio::test]
async fn metadata_and_ranges_make_the_round_trip() {
    let server = S3Server::start(1);
    let client = client(&server.endpoint());
    let body = ByteStream::from_static(b"0123456789");
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("a b/dt=2026-11-20/é")
        .body(body);
    put.metadata("node", "abc")
        .content_type("application/x-ndjson")
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("a b/dt=2026-11-20/é");
    let head = head.send().await.unwrap();
    assert_eq!(
        head.metadata(),
        Some(&HashMap::from([("node".into(), "abc".into())]))
    );
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.content_encoding(), None);
    let get = client
        .get_object()
        .bucket(BUCKET)
        .key("a b/dt=2026-11-20/é")
        .range("bytes=2-4");
    let get = get.send().await.unwrap();
    assert_eq!(get.content_range(), Some("bytes 2-4/10"));
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"234");
    let missing = client.head_object().bucket(BUCKET).key("no").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    let other = Client::from_conf(
        client
            .config()
            .to_builder()
            .credentials_provider(Credentials::new("test", "wrong", None, None, "thief"))
            .build(),
    );
    assert_eq!(put_if_absent(&other, "stolen", "x").await, 403);
}

#[tokio::test]
async fn a_listing_in_pages_is_the_whole_listing() {
    let server = S3Server::start(1);
    for i in 0..25 {
        server.put_foreign(
            &format!("events/{:02}/x", i / 5 * 10 + i % 5),
            "x",
            HashMap::new(),
        );
    }
    server.put_foreign("other", "x", HashMap::new());
    let client = client(&server.endpoint());
    let list = client
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("events/")
        .max_keys(4);
    let mut pages = list.into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(
            page.unwrap()
                .contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
    }
    assert_eq!(keys, server.keys("events/"));
    assert_eq!(keys.len(), 25);
}

#[test]
fn a_folded_listing_names_each_prefix_once() {
    let store = Store::default();
    store.create_bucket(BUCKET);
    for key in [
        "e/1/a", "e/1/b", "e/2/a", "e/3", "e/4/a", "e/4/b", "e/4/c", "f/1",
    ] {
        store.put(BUCKET, key, Object::new("x"), true);
    }
    for max in 1..9 {
        let (mut after, mut prefixes, mut keys) = (String::new(), Vec::new(), Vec::new());
        loop {
            let query = Query {
                prefix: "e/",
                delimiter: "/",
                after: &after,
                max,
            };
            let page = store.list(BUCKET, &query).unwrap();
            assert!(page.prefixes.len() + page.objects.len() <= max);
            prefixes.extend(page.prefixes);
            keys.extend(page.objects.into_iter().map(|(key, _)| key));
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(
            (prefixes, keys),
            (
                vec!["e/1/".to_owned(), "e/2/".to_owned(), "e/4/".to_owned()],
                vec!["e/3".to_owned()],
            )
        );
    }
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let server = S3Server::start(1);
    let client = client(&server.endpoint());
    let later = Duration::from_millis(200);
    let cases = [
        (Fault::InternalError, 500, false),
        (Fault::LateError, 500, true),
        (Fault::SlowDown, 503, false),
        (Fault::Conflict, 409, false),
        (Fault::Reset, 0, false),
        (Fault::LostAnswer, 0, true),
        (Fault::AppliedLater(later), 0, false),
        (Fault::Stall(Some(later)), 200, true),
        (Fault::Stall(None), 0, true),
    ];
    server
        .faults()
        .on_next_puts(cases.map(|(fault, ..)| Some(fault)));
    for (index, (fault, status, applied)) in cases.into_iter().enumerate() {
        let key = format!("{index}");
        assert_eq!(put_if_absent(&client, &key, "x").await, status, "{fault:?}");
        assert_eq!(server.object(&key).is_some(), applied, "{fault:?}");
    }
    assert!(
        server.object("6").is_some(),
        "what is applied later must be there in the end"
    );
    assert_eq!(put_if_absent(&client, "5", "again").await, 412);
    assert_eq!(put_if_absent(&client, "fine", "x").await, 200);
    assert_eq!(server.faults().counts().faults, 9);
}

#[tokio::test]
async fn switches_switch() {
    let server = S3Server::start(1);
    let client = client(&server.endpoint());
    let faults = server.faults();
    assert_eq!(put_if_absent(&client, "k", "first").await, 200);
    faults.down();
    assert_eq!(put_if_absent(&client, "k", "x").await, 0);
    faults.up();
    faults.deny(true);
    assert_eq!(put_if_absent(&client, "k", "x").await, 403);
    faults.deny(false);
    faults.not_implemented_conditions(true);
    assert_eq!(put_if_absent(&client, "k", "x").await, 501);
    faults.not_implemented_conditions(false);
    faults.ignore_conditions(true);
    assert_eq!(put_if_absent(&client, "k", "second").await, 200);
    assert_eq!(server.object("k").unwrap().bytes, "second");
    assert_eq!(faults.counts().replaced, 1);
    faults.calm();
    assert_eq!(put_if_absent(&client, "k", "x").await, 412);
}

#[tokio::test]
async fn chances_come_true_about_as_often_as_asked() {
    let server = S3Server::start(7);
    let client = client(&server.endpoint());
    server.faults().set(Chances {
        slow_down: 0.2,
        lost_answer: 0.2,
        ..Chances::default()
    });
    let mut seen = HashMap::new();
    for i in 0..200 {
        *seen
            .entry(put_if_absent(&client, &i.to_string(), "x").await)
            .or_insert(0) += 1;
    }
    assert!((20..70).contains(&seen[&503]), "{seen:?}");
    assert!((20..70).contains(&seen[&0]), "{seen:?}");
    let counts = server.faults().counts();
    assert_eq!(counts.faults, seen[&503] + seen[&0]);
    assert_eq!(counts.applied, 200 - seen[&503]);
    server.faults().calm();
    assert_eq!(put_if_absent(&client, "calm", "x").await, 200);
}
