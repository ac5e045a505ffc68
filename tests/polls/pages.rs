//! Reads every kind of pagination to its end, and refuses pages that cannot be right.

use serde_json::json;

use super::{lake, poll_in_vain, poll_well, setup};
use crate::support::api::{Api, number, page, param, thing, things};

const COUNT: usize = 25;
const LIMIT: usize = 10;

fn window(offset: usize) -> std::ops::Range<usize> {
    offset.min(COUNT)..(offset + LIMIT).min(COUNT)
}

/// Polls once with this pagination, and finds each record once.
fn reads_all(api: &Api, settings: &str) {
    let setup = setup(&api.url(), settings);
    let (_, runs) = poll_well(&setup);
    assert_eq!(runs.runs[0].rows, COUNT as u64);
}

#[test]
fn by_offset_until_an_empty_page() {
    let api =
        Api::start(|request, _| page(json!({"things": things(window(number(request, "from")))})));
    reads_all(&api, "pagination = { type = \"offset\", param = \"from\" }");
    assert_eq!(api.requests().len(), 4);
}

#[test]
fn by_page_until_the_flag_says_so() {
    let api = Api::start(|request, _| {
        let first = number(request, "page");
        assert_eq!(number(request, "per_page"), LIMIT);
        let more = (first + 1) * LIMIT < COUNT;
        page(json!({"things": things(window(first * LIMIT)), "page": {"more": more}}))
    });
    reads_all(
        &api,
        "pagination = { type = \"page\", first = 0, limit = 10, limit_param = \"per_page\", \
         more = \"/page/more\" }",
    );
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn by_cursor_in_the_body() {
    let api = Api::start(|request, _| {
        let offset = param(request, "cursor").map_or(0, |cursor| cursor[2..].parse().unwrap());
        let next = offset + LIMIT;
        let next = (next < COUNT).then(|| format!("c+{next}"));
        page(json!({"meta": {"next": next, "total": COUNT}, "things": things(window(offset))}))
    });
    reads_all(
        &api,
        "total = \"/meta/total\"\npagination = { type = \"cursor\", next = \"/meta/next\" }",
    );
}

#[test]
fn by_url_in_the_body() {
    let api = Api::start(|request, _| {
        let offset = number(request, "at");
        let next = offset + LIMIT;
        let next = (next < COUNT).then(|| format!("/things?at={next}"));
        page(json!({"things": things(window(offset)), "next": next}))
    });
    reads_all(
        &api,
        "pagination = { type = \"next-url\", next = \"/next\" }",
    );
}

#[test]
fn by_link_header() {
    let api = Api::start(|request, _| {
        let offset = number(request, "at");
        let next = offset + LIMIT;
        let answer = page(json!({"things": things(window(offset))}));
        if next >= COUNT {
            return answer.insert_header("link", "</things?at=0>; rel=\"first\"");
        }
        let link = format!("</things?at=0>; rel=\"first\", </things?at={next}>; rel=\"next\"");
        answer.insert_header("link", link)
    });
    reads_all(&api, "pagination = { type = \"link-header\" }");
}

#[test]
fn a_set_that_changes_once_is_read_again() {
    // During the first reading, the total changes between two pages.
    let api = Api::start(|request, n| {
        let total = if n == 0 { COUNT - 1 } else { COUNT };
        let offset = number(request, "offset");
        page(json!({"things": things(window(offset)), "total": total}))
    });
    let settings = "total = \"/total\"\npagination = { type = \"offset\" }";
    let setup = setup(&api.url(), settings);
    let (_, runs) = poll_well(&setup);
    assert_eq!((runs.runs.len(), runs.runs[0].rows), (1, COUNT as u64));
    assert_eq!(api.requests().len(), 2 + 3);
}

#[test]
fn a_record_that_moves_to_the_next_page_is_noticed() {
    let api = Api::start(|request, n| {
        // While the second page was read, a record was inserted before it.
        let shift = usize::from(n == 1);
        let range = window(number(request, "offset") - shift);
        page(json!({"things": things(range)}))
    });
    let setup = setup(&api.url(), "pagination = { type = \"offset\" }");
    let (_, runs) = poll_well(&setup);
    assert_eq!((runs.runs.len(), runs.runs[0].rows), (1, COUNT as u64));
}

#[test]
fn a_set_that_never_holds_still_fails() {
    let api = Api::start(|request, n| {
        let things = things(window(number(request, "offset")));
        page(json!({"things": things, "total": 1000 + n}))
    });
    let settings = "total = \"/total\"\npagination = { type = \"offset\" }";
    let words = [
        "page 2",
        "the total was",
        "changes while it is read",
        "all 4 attempts ended like this",
    ];
    poll_in_vain(&setup(&api.url(), settings), &words);
}

/// Makes the page with this number.
type Answer = fn(usize) -> serde_json::Value;

#[test]
fn what_cannot_be_true_of_pages_names_the_page_and_what_was_expected() {
    let offset = "pagination = { type = \"offset\" }";
    let cursor = "pagination = { type = \"cursor\", next = \"/next\" }";
    let more = "pagination = { type = \"offset\", more = \"/more\" }";
    let total = "total = \"/total\"\npagination = { type = \"offset\" }";
    let cases: [(&str, Answer, &[&str]); 9] = [
        // An API that ignores the offset.
        (
            "pagination = { type = \"page\", param = \"offset\" }",
            |_| json!({"things": [{"x": 1}]}),
            &["page 3", "the same records"],
        ),
        (
            cursor,
            |n| json!({"things": things(n..n + 1), "next": "x"}),
            &["page 2", "was read before; expected a new one"],
        ),
        (
            more,
            |n| json!({"things": things(0..1 - n.min(1)), "more": true}),
            &["page 2", "holds no records and says that there are more"],
        ),
        (
            total,
            |_| json!({"things": things(0..3), "total": 2}),
            &["page 1", "3 records were read", "the total says 2"],
        ),
        (
            "total = \"/total\"",
            |_| json!({"things": things(0..3), "total": 4}),
            &["page 1", "3 records were read", "the total says 4"],
        ),
        (
            offset,
            |_| json!({"thing": []}),
            &["page 1", "nothing at /things; expected a list of records"],
        ),
        (
            offset,
            |_| json!({"things": {"id": 1}}),
            &["page 1", "expected a list of records at /things"],
        ),
        (
            total,
            |_| json!({"things": things(0..1), "total": "many"}),
            &["page 1", "/total is not a whole number"],
        ),
        (
            cursor,
            |_| json!({"things": things(0..1), "next": ["x"]}),
            &["page 1", "/next is not null, text"],
        ),
    ];
    for (settings, answer, words) in cases {
        let api = Api::start(move |_, n| page(answer(n)));
        // With ids, the repetition would be noticed by them first.
        let setup = setup(&api.url(), settings);
        let text = super::config(&api.url(), settings).replace("id = \"id\"\n", "");
        setup.configure(&text);
        poll_in_vain(&setup, words);
    }
}

#[test]
fn an_invalid_record_goes_to_the_quarantine_and_stops_nothing() {
    let api = Api::start(|_, _| {
        let mut all = things(0..5);
        all[2]["name"] = json!(5);
        all.push(json!("no object"));
        all.push(json!({"name": "without an id"}));
        page(json!({"things": all}))
    });
    let settings = "schema = \"thing.json\"\nguards = { max_refused = \"50 %\" }";
    let setup = setup(&api.url(), settings);
    let schema = json!({"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
    let (said, runs) = poll_well(&setup);
    assert!(
        said.contains("7 records") && said.contains("3 quarantined"),
        "{said}"
    );
    assert!(
        said.contains("page 1, record 2: schema_type at \"/name\""),
        "{said}"
    );
    let run = &runs.runs[0];
    assert_eq!((run.rows, run.refused), (4, 3));
    let count = lake(&setup).count(crate::support::duckdb::Reading::Typed);
    assert_eq!(count.quarantine["invalid_record"], 3);
    // The second run reads the same records, and its marker says so.
    let (_, runs) = poll_well(&setup);
    assert!(runs.runs[1].same_as.is_some());
}

#[test]
fn columns_are_those_of_the_schema() {
    let api = Api::start(|_, _| page(json!({"things": [thing(1)]})));
    let setup = setup(
        &api.url(),
        "schema = \"thing.json\"\n[batch]\nformat = \"ndjson\"",
    );
    let schema = json!({"properties": {"id": {}, "weight": {}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
    poll_well(&setup);
    let lake = setup.directory().join("lake");
    let keys = lakehook::lake::reader::keys_below(&lake, "things").unwrap();
    let rows: Vec<String> = keys
        .iter()
        .map(|key| std::fs::read_to_string(lake.join(key)).unwrap())
        .collect();
    assert_eq!(rows.len(), 1);
    let row: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!(row["extra"], json!({"name": "thing 1"}));
    assert_eq!((&row["id"], &row["weight"]), (&json!(1), &json!(null)));
}
