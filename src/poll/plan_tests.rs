#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::config::{Secret, Watermark};
use crate::ids::HashKey;

fn plan(change: impl FnOnce(&mut Poll)) -> Plan {
    let mut poll = Poll {
        url: "https://api.example.com/users".to_owned(),
        ..Poll::default()
    };
    change(&mut poll);
    Plan::new("users", &poll, Fingerprint::new(HashKey([1; 16]))).unwrap()
}

fn paged(kind: PaginationKind, param: Option<&str>) -> Pagination {
    Pagination {
        r#type: kind,
        param: param.map(str::to_owned),
        limit: Some(200),
        ..Pagination::default()
    }
}

fn url(plan: &Plan, position: &Position, since: Option<Mark>) -> String {
    plan.page_url(position, since).unwrap().to_string()
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
        poll.query.insert("key".to_owned(), Secret::new("a b"));
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
        poll.watermark = Watermark {
            field: Some("updated_at".to_owned()),
            param: Some("since".to_owned()),
            ..Watermark::default()
        };
    });
    let since = Mark::parse_text("2026-11-25T00:00:00Z");
    assert_eq!(
        url(&cursor, &Position::Cursor("x=&".to_owned()), since),
        "https://api.example.com/users?since=2026-11-25T00%3A00%3A00.000000Z&cursor=x%3D%26&limit=200"
    );
    let next = Position::Url("https://api.example.com/next?a=1".to_owned());
    assert_eq!(
        url(&cursor, &next, since),
        "https://api.example.com/next?a=1"
    );
}

#[test]
fn another_question_is_another_plan() {
    let same = plan(|_| {}).hash;
    assert_eq!(plan(|_| {}).hash, same);
    assert_eq!(plan(|poll| poll.max_pages = 7).hash, same);
    assert_ne!(plan(|poll| poll.records = "/x".to_owned()).hash, same);
    assert_ne!(plan(|poll| poll.url.push('2')).hash, same);
}

#[test]
fn a_schema_that_cannot_be_read_is_named() {
    let poll = Poll {
        url: "http://localhost/".to_owned(),
        schema: Some("/nowhere/user.json".into()),
        ..Poll::default()
    };
    let error = Plan::new("users", &poll, Fingerprint::new(HashKey([1; 16])));
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("poll.users.schema: read /nowhere/user.json"),
        "{error}"
    );
}
