#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use super::*;
use crate::mark_format::MarkFormat;
use crate::poll::definition::{
    Body, ColumnDefinitions, Connection, Credentials, Request, Timing, Token, Verb, Watermark,
};
use crate::poll::form::PageForm;
use lakehook_base::ids::HashKey;
use lakehook_base::secret::Secret;

fn definition() -> Definition {
    Definition {
        request: Request {
            url: "https://api.example.com/users".to_owned(),
            method: Verb::Get,
            body: Body::None,
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            credentials: Credentials::default(),
            api: None,
            pace: Duration::ZERO,
            connection: Connection::default(),
            allow_hosts: Vec::new(),
        },
        page: PageForm::default(),
        pagination: Pagination::default(),
        timing: Timing {
            every: None,
            cron: None,
            time_zone: "UTC".to_owned(),
            jitter: Duration::ZERO,
        },
        mode: Mode::Snapshot,
        watermark: Watermark::default(),
        window: None,
        each: None,
        token: Token::default(),
        keep_mark: false,
        schema: None,
        id: None,
        limits: Limits {
            budget: Duration::from_secs(900),
            timeout: Duration::from_secs(30),
            max_pages: 10_000,
            max_bytes: 1 << 30,
            max_records: 1_000_000,
            max_record: 1 << 20,
        },
        guards: Guards::default(),
        columns: ColumnDefinitions::default(),
    }
}

fn plan(change: impl FnOnce(&mut Definition)) -> Plan {
    let mut poll = definition();
    change(&mut poll);
    let mut links = Links::new(None);
    Plan::new(
        "users",
        &poll,
        Fingerprint::new(HashKey([1; 16])),
        &mut links,
    )
    .unwrap()
}

fn paged(kind: PaginationKind, param: Option<&str>) -> Pagination {
    Pagination {
        kind,
        param: param.map(str::to_owned),
        limit: Some(200),
        ..Pagination::default()
    }
}

fn url(plan: &Plan, position: &Position, since: Option<&Mark>) -> String {
    let values = plan.run_values(since, Micros(0)).unwrap();
    let request = plan.page_request(position, &values, Micros(0)).unwrap();
    request.url.to_string()
}

#[test]
fn urls_say_which_page_and_from_when() {
    let bare = plan(|_| {});
    assert_eq!(
        url(&bare, &Position::First, None),
        "https://api.example.com/users"
    );

    let offset = plan(|poll| {
        poll.pagination = paged(PaginationKind::Offset, None);
        poll.request
            .query
            .insert("key".to_owned(), Secret::new("a b"));
    });
    assert_eq!(
        url(&offset, &Position::Offset(400), None),
        "https://api.example.com/users?key=a+b&offset=400&limit=200"
    );
    let page = plan(|poll| poll.pagination = paged(PaginationKind::Page, Some("p")));
    assert_eq!(
        url(&page, &Position::Page(2), None),
        "https://api.example.com/users?p=2&limit=200"
    );
    let cursor = plan(|poll| {
        poll.pagination = paged(PaginationKind::Cursor, None);
        poll.mode = Mode::Append;
        poll.watermark.field = Some("updated_at".to_owned());
        poll.watermark.param = Some("since".to_owned());
    });
    let since = MarkFormat::Rfc3339.read_given("2026-11-25T00:00:00Z");
    assert_eq!(
        url(&cursor, &Position::Cursor("x=&".to_owned()), since.as_ref()),
        "https://api.example.com/users?since=2026-11-25T00%3A00%3A00.000000Z&cursor=x%3D%26&limit=200"
    );
    let next = Position::Url("https://api.example.com/next?a=1".to_owned());
    assert_eq!(
        url(&cursor, &next, since.as_ref()),
        "https://api.example.com/next?a=1"
    );
}

#[test]
fn links_are_followed_as_they_are_but_for_what_is_repeated() {
    let next = Position::Url("https://api.example.com/next?cursor=a%2Bb".to_owned());
    let with = |repeat: &[&str]| {
        plan(|poll| {
            poll.pagination = paged(PaginationKind::NextUrl, None);
            poll.pagination.repeat_query = repeat.iter().map(|name| (*name).to_owned()).collect();
            for (name, value) in [("key", "k 1"), ("status", "open"), ("cursor", "x")] {
                poll.request
                    .query
                    .insert(name.to_owned(), Secret::new(value));
            }
        })
    };
    assert_eq!(
        url(&with(&[]), &next, None),
        "https://api.example.com/next?cursor=a%2Bb"
    );
    assert_eq!(
        url(&with(&["key", "cursor"]), &next, None),
        "https://api.example.com/next?cursor=a%2Bb&key=k+1"
    );
}

#[test]
fn another_request_is_another_mark() {
    let request = |change: fn(&mut Definition)| plan(change).terms("").request;
    let same = request(|_| {});
    assert_eq!(request(|poll| poll.page.records = "/x".to_owned()), same);
    let header = |poll: &mut Definition| {
        let headers = &mut poll.request.headers;
        headers.insert("x-key".to_owned(), Secret::new("a"));
    };
    assert_eq!(request(header), same);
    assert_ne!(request(|poll| poll.request.url.push('2')), same);
    let team = |poll: &mut Definition| {
        let query = &mut poll.request.query;
        query.insert("team".to_owned(), Secret::new("a"));
    };
    assert_ne!(request(team), same);
    // In the URL or in the query makes no difference.
    let in_url = |poll: &mut Definition| poll.request.url.push_str("?team=a");
    assert_eq!(request(team), request(in_url));
}

#[test]
fn another_question_is_another_plan() {
    let same = plan(|_| {}).hashes.plan;
    assert_eq!(plan(|_| {}).hashes.plan, same);
    assert_eq!(plan(|poll| poll.limits.max_pages = 7).hashes.plan, same);
    assert_ne!(
        plan(|poll| poll.page.records = "/x".to_owned()).hashes.plan,
        same
    );
    assert_ne!(plan(|poll| poll.request.url.push('2')).hashes.plan, same);
}

#[test]
fn a_schema_that_cannot_be_read_is_named() {
    let poll = Definition {
        schema: Some("/nowhere/user.json".into()),
        ..definition()
    };
    let mut links = Links::new(None);
    let error = Plan::new(
        "users",
        &poll,
        Fingerprint::new(HashKey([1; 16])),
        &mut links,
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("poll.users.schema: read /nowhere/user.json"),
        "{error}"
    );
}
