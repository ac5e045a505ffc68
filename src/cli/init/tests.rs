//! Pages as APIs send them, and what is proposed for each. Every proposal must be a configuration without errors.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests write files and fail loudly"
)]

use reqwest::Url;
use serde_json::{Value, json};

use super::fetch::Page;
use super::poll::name_of;
use super::section::{Given, propose};
use crate::config::Config;

fn page(url: &str, headers: &[(&str, &str)], body: Value) -> Page {
    Page {
        url: Url::parse(url).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body,
    }
}

/// The section for a page, without its comments.
fn section_of(page: &Page, given: Given) -> String {
    let given = Given {
        name: name_of(&page.url),
        ..given
    };
    let proposal = propose(page, &given);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lakehook.toml");
    let text = format!("[lake]\nurl = \"lake\"\n{}", proposal.section);
    std::fs::write(&file, &text).unwrap();
    if let Err(errors) = Config::load(Some(&file), &[]) {
        panic!("{errors}\n{text}");
    }
    let lines = proposal.section.lines();
    let lines: Vec<_> = lines
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    lines.join("\n")
}

fn section(url: &str, headers: &[(&str, &str)], body: Value) -> String {
    section_of(&page(url, headers, body), Given::default())
}

fn records() -> Value {
    json!([
        {"id": 1, "name": "a", "updated_at": "2026-01-02T03:04:05Z"},
        {"id": 2, "name": null, "updated_at": "2026-01-02T03:04:06Z"},
        {"id": 3, "name": "c", "updated_at": "2026-01-02T03:04:07Z"}
    ])
}

#[track_caller]
fn says(section: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            section.lines().any(|own| own == *line),
            "{line}\n---\n{section}"
        );
    }
}

#[track_caller]
fn says_nothing_of(section: &str, words: &[&str]) {
    for word in words {
        assert!(!section.contains(word), "{word}\n---\n{section}");
    }
}

const URL: &str = "https://api.example.com/v1/users";

#[test]
fn a_bare_list_with_a_link_header() {
    let link = "<https://api.example.com/v1/users?page=2>; rel=\"next\", <https://api.example.com/v1/users?page=9>; rel=\"last\"";
    let section = section(URL, &[("link", link)], records());
    says(
        &section,
        &[
            "[poll.users]",
            "url = \"https://api.example.com/v1/users\"",
            "records = \"\"",
            "id = \"id\"",
            "type = \"link-header\"",
        ],
    );
}

#[test]
fn a_bare_list_alone() {
    let page = page(URL, &[], records());
    let given = Given {
        name: "users".to_owned(),
        ..Given::default()
    };
    let proposal = propose(&page, &given);
    assert!(
        proposal
            .section
            .contains("nothing in the page names a next one"),
        "{}",
        proposal.section
    );
    assert!(
        proposal
            .section
            .contains("#watermark = { field = \"updated_at\", param = \"since\"")
    );
    let properties = &proposal.schema.unwrap()["properties"];
    assert_eq!(properties["id"], json!({"type": ["integer", "null"]}));
    assert_eq!(properties["name"], json!({"type": ["null", "string"]}));
    assert_eq!(
        properties["updated_at"],
        json!({"type": ["null", "string"], "format": "date-time"})
    );
}

#[test]
fn next_links() {
    for (body, next) in [
        (
            json!({"count": 9, "next": "https://api.example.com/v1/users?page=2", "previous": null, "results": records()}),
            "/next",
        ),
        (
            json!({"count": 3, "next": null, "previous": null, "results": records()}),
            "/next",
        ),
        (
            json!({"value": records(), "@odata.nextLink": "https://api.example.com/v1/users?$skip=3"}),
            "/@odata.nextLink",
        ),
        (
            json!({"data": records(), "links": {"self": "/v1/users", "next": "/v1/users?page[cursor]=x"}}),
            "/links/next",
        ),
        (
            json!({"_embedded": {"users": records()}, "_links": {"next": {"href": "?page=2"}}}),
            "/_links/next/href",
        ),
        (
            json!({"data": records(), "pagination": {"next_url": "https://api.example.com/v1/users?c=2"}}),
            "/pagination/next_url",
        ),
        (
            json!({"data": records(), "a/b": {"next_page_url": "https://api.example.com/v1/users?c=2"}}),
            "/a~1b/next_page_url",
        ),
    ] {
        let section = section(URL, &[], body);
        says(
            &section,
            &[
                "type = \"next-url\"",
                &format!("next = \"{next}\""),
                "id = \"id\"",
            ],
        );
        says_nothing_of(&section, &["allow_hosts", "param ="]);
    }
}

#[test]
fn links_to_another_host_and_without_the_key() {
    let next = "https://cdn.example.com/v1/users?cursor=2";
    let section = section(
        &format!("{URL}?apiKey=s3cret&active=true"),
        &[],
        json!({"results": records(), "next_url": next}),
    );
    says(
        &section,
        &[
            "allow_hosts = [\"cdn.example.com\"]",
            "url = \"https://api.example.com/v1/users?active=true\"",
        ],
    );
    says_nothing_of(&section, &["s3cret"]);
}

#[test]
fn cursors() {
    for (body, next, param) in [
        (
            json!({"data": records(), "next_cursor": "abc"}),
            "/next_cursor",
            "cursor",
        ),
        (
            json!({"items": records(), "nextPageToken": "abc"}),
            "/nextPageToken",
            "pageToken",
        ),
        (
            json!({"items": records(), "next_page_token": ""}),
            "/next_page_token",
            "page_token",
        ),
        (
            json!({"results": records(), "paging": {"next": {"after": "3", "link": "https://api.example.com/x"}}}),
            "/paging/next/link",
            "",
        ),
        (
            json!({"results": records(), "paging": {"next": {"after": "3"}}}),
            "/paging/next/after",
            "after",
        ),
        (
            json!({"data": records(), "paging": {"cursors": {"before": "1", "after": "3"}}}),
            "/paging/cursors/after",
            "after",
        ),
        (
            json!({"data": records(), "meta": {"cursor": {"next": "eyJ", "count": 3}}}),
            "/meta/cursor/next",
            "cursor",
        ),
        (
            json!({"users": records(), "response_metadata": {"next_cursor": "dXNlcjpX"}}),
            "/response_metadata/next_cursor",
            "cursor",
        ),
        (
            json!({"records": records(), "offset": "itrX/recY"}),
            "/offset",
            "offset",
        ),
        (
            json!({"Items": records(), "NextToken": "x"}),
            "/NextToken",
            "NextToken",
        ),
        (
            json!({"data": records(), "meta": {"next_page": 2, "current_page": 1}}),
            "/meta/next_page",
            "page",
        ),
    ] {
        let section = section(URL, &[], body);
        if param.is_empty() {
            says(
                &section,
                &["type = \"next-url\"", &format!("next = \"{next}\"")],
            );
            continue;
        }
        says(
            &section,
            &[
                "type = \"cursor\"",
                &format!("next = \"{next}\""),
                &format!("param = \"{param}\""),
            ],
        );
    }
}

#[test]
fn a_cursor_with_a_flag_and_a_limit() {
    let body = json!({"data": {"issues": {"nodes": records(), "pageInfo": {"endCursor": "c", "hasNextPage": true}}}});
    says(
        &section(&format!("{URL}?first=3&limit=50&after=b"), &[], body),
        &[
            "records = \"/data/issues/nodes\"",
            "type = \"cursor\"",
            "next = \"/data/issues/pageInfo/endCursor\"",
            "param = \"after\"",
            "more = \"/data/issues/pageInfo/hasNextPage\"",
            "limit = 50",
            "url = \"https://api.example.com/v1/users?first=3\"",
        ],
    );
}

#[test]
fn more_after_the_last_record() {
    let section = section(
        &format!("{URL}?limit=3"),
        &[],
        json!({"object": "list", "has_more": true, "url": "/v1/users", "data": records()}),
    );
    says(
        &section,
        &[
            "records = \"/data\"",
            "type = \"cursor\"",
            "next = \"last:/id\"",
            "param = \"starting_after\"",
            "more = \"/has_more\"",
            "limit = 3",
        ],
    );
}

#[test]
fn offsets() {
    let first = section(
        URL,
        &[],
        json!({"startAt": 0, "maxResults": 3, "total": 9, "issues": records()}),
    );
    says(
        &first,
        &[
            "records = \"/issues\"",
            "type = \"offset\"",
            "param = \"startAt\"",
            "limit_param = \"maxResults\"",
            "limit = 3",
            "total = \"/total\"",
        ],
    );
    let second = section(
        &format!("{URL}?offset=0&limit=3"),
        &[("x-total-count", "9")],
        records(),
    );
    says(
        &second,
        &[
            "type = \"offset\"",
            "limit = 3",
            "total = \"header:x-total-count\"",
            "url = \"https://api.example.com/v1/users\"",
        ],
    );
    says_nothing_of(&second, &["param = \"offset\""]);
}

#[test]
fn numbered_pages() {
    let body = json!({"page": 1, "per_page": 3, "total": 9, "total_pages": 3, "data": records()});
    says(
        &section(URL, &[], body),
        &[
            "type = \"page\"",
            "pages = \"/total_pages\"",
            "limit_param = \"per_page\"",
            "limit = 3",
            "total = \"/total\"",
        ],
    );
    let body = json!({"content": records(), "number": 0, "size": 3, "totalElements": 9, "totalPages": 3, "last": false});
    says(
        &section(URL, &[], body),
        &[
            "type = \"page\"",
            "first = 0",
            "pages = \"/totalPages\"",
            "limit_param = \"size\"",
            "total = \"/totalElements\"",
        ],
    );
    let headers = [("x-wp-totalpages", "3"), ("x-wp-total", "9")];
    says(
        &section(URL, &headers, records()),
        &[
            "type = \"page\"",
            "pages = \"header:x-wp-totalpages\"",
            "total = \"header:x-wp-total\"",
        ],
    );
    let section = section(&format!("{URL}?p=x&page=1&per_page=3"), &[], records());
    says(
        &section,
        &[
            "type = \"page\"",
            "limit_param = \"per_page\"",
            "url = \"https://api.example.com/v1/users?p=x\"",
        ],
    );
}

#[test]
fn facts_and_records_in_a_pair() {
    let section = section(
        "https://api.example.com/v2/country",
        &[],
        json!([{"page": 1, "pages": 6, "per_page": "3", "total": 9}, records()]),
    );
    says(
        &section,
        &[
            "records = \"/1\"",
            "type = \"page\"",
            "pages = \"/0/pages\"",
            "total = \"/0/total\"",
        ],
    );
}

#[test]
fn maps_objects_and_scalars() {
    let map = json!({"rates": {"EUR": {"rate": 1.0, "name": "euro"}, "USD": {"rate": 1.1, "name": "dollar"}}, "date": "2026-01-01"});
    let first = section("https://api.example.com/latest", &[], map);
    says(
        &first,
        &[
            "records = \"/rates\"",
            "records_as = \"map\"",
            "map_key = \"key\"",
            "id = \"key\"",
        ],
    );
    let object = section(
        "https://api.example.com/status",
        &[],
        json!({"id": "x", "ok": true, "load": [1, 2]}),
    );
    says(&object, &["[poll.status]"]);
    let wrapped = section(
        "https://api.example.com/me",
        &[],
        json!({"data": {"id": "x", "plan": {"name": "p"}}}),
    );
    says(
        &wrapped,
        &[
            "records = \"/data\"",
            "records_as = \"object\"",
            "id = \"id\"",
        ],
    );
    let scalars = section("https://api.example.com/tags", &[], json!(["a", "b"]));
    says(&scalars, &["records = \"\"", "id = \"value\""]);
}

#[test]
fn a_page_without_records() {
    let page = page(
        URL,
        &[],
        json!({"data": [], "next_cursor": null, "has_more": false}),
    );
    let given = Given {
        name: "users".to_owned(),
        ..Given::default()
    };
    let proposal = propose(&page, &given);
    assert!(
        proposal.section.contains("The list is empty"),
        "{}",
        proposal.section
    );
    assert!(proposal.schema.is_none());
    says(
        &section_of(&page, Given::default()),
        &[
            "records = \"/data\"",
            "type = \"cursor\"",
            "next = \"/next_cursor\"",
            "more = \"/has_more\"",
        ],
    );
}

#[test]
fn a_secret_has_a_place_proposed_for_it() {
    for (url, headers, expected) in [
        (
            "https://api.example.com/users?apiKey=s3cret",
            vec![],
            "#auth = { type = \"query\", param = \"apiKey\", token_file = \"users.token\" }",
        ),
        (
            URL,
            vec![("Authorization".to_owned(), "Bearer s3cret".to_owned())],
            "#auth = { type = \"bearer\", token_file = \"users.token\" }",
        ),
    ] {
        let page = page(url, &[], records());
        let given = Given {
            name: "users".to_owned(),
            headers,
            ..Given::default()
        };
        let section = propose(&page, &given).section;
        assert!(section.contains(expected), "{section}");
        assert!(!section.contains("s3cret"), "{section}");
        // Once its comment is removed and the file is there, it is the configuration.
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("users.token"), "s3cret").unwrap();
        let file = dir.path().join("lakehook.toml");
        let section = section.replace("#auth", "auth");
        std::fs::write(&file, format!("[lake]\nurl = \"lake\"\n{section}")).unwrap();
        if let Err(errors) = Config::load(Some(&file), &[]) {
            panic!("{errors}\n{section}");
        }
    }
}

#[test]
fn secrets_are_not_printed() {
    let page = page(
        "https://me:hunter2@api.example.com/users?api_key=s3cret",
        &[],
        records(),
    );
    let given = Given {
        name: "users".to_owned(),
        headers: vec![
            ("X-Team".to_owned(), "data".to_owned()),
            ("X-Api-Key".to_owned(), "t0ken".to_owned()),
        ],
        ..Given::default()
    };
    let section = propose(&page, &given).section;
    for secret in ["hunter2", "s3cret", "t0ken"] {
        assert!(!section.contains(secret), "{section}");
    }
    for expected in [
        "#auth = { type = \"header\", header = \"X-Api-Key\", token_file = \"users.token\" }",
        "\"api_key\" looks like a secret",
        "headers = { \"X-Team\" = \"data\" }",
        "header = \"X-Api-Key\"",
    ] {
        assert!(section.contains(expected), "{expected}\n{section}");
    }
}

#[test]
fn what_an_api_sends_cannot_leave_its_place() {
    let body = json!({"x\"\n[lake]\nurl = \"": [{"id\"\n": 1, "id": 1}], "next_\n": "abc"});
    let section = section("https://api.example.com/a'%0A\"b?{mark}=1", &[], body);
    assert!(!section.lines().any(|line| line == "[lake]"), "{section}");
}

#[test]
fn names_are_taken_from_the_url() {
    for (url, name) in [
        ("https://api.example.com/v1/users", "users"),
        ("https://api.example.com/v1/Users.json?x=1", "users"),
        (
            "https://api.example.com/v3/accounts/17/sales-orders",
            "sales_orders",
        ),
        ("https://api.example.com/events", "events_records"),
        ("https://api.example.com/", "records"),
        ("https://api.example.com/v1/%C3%BCber", "records"),
    ] {
        assert_eq!(name_of(&Url::parse(url).unwrap()), name, "{url}");
    }
}
