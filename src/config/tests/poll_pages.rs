//! The rules of pages; each has a case that breaks it.

use serde_json::json;

use super::load;
use super::rules::taken;
use crate::poll::form::{Condition, Empty, RecordsAs, Stop};

/// A poll with an id and further settings.
fn poll(settings: &str) -> String {
    super::poll(&with_id(settings))
}

/// Checks that each setting of such a poll is refused.
fn refuse(cases: &[(&str, &str, &str)]) {
    let settings: Vec<String> = cases.iter().map(|(own, ..)| with_id(own)).collect();
    let cases = settings.iter().zip(cases);
    let cases: Vec<_> = cases
        .map(|(own, (_, key, words))| (own.as_str(), *key, *words))
        .collect();
    super::refuse_poll(&cases);
}

fn with_id(settings: &str) -> String {
    format!("id = \"id\"\n{settings}")
}

#[test]
fn pages_are_read_whole() {
    let text = poll(
        r#"records = "/data/*/user"
        records_as = "map"
        map_key = "name"
        total = "header:x-total-count"
        empty = ["absent"]
        fail_if = { pointer = "/ok", value = false }
        error = "/why"
        query = { key = "k" }
        [poll.users.pagination]
        type = "link-header"
        limit = 50
        more = "/0/more"
        stop = { pointer = "/done", value = 1 }
        repeat_query = ["key"]"#,
    );
    let text = text.replace("more = \"/0/more\"\n", "");
    let loaded = load(&text, &[]).unwrap();
    let poll = loaded.config.poll["users"].definition(None);
    let page = poll.page;
    assert_eq!(page.records, "/data/*/user");
    assert_eq!(page.records_as, RecordsAs::Map);
    assert_eq!(page.map_key.as_deref(), Some("name"));
    assert_eq!(page.total.as_deref(), Some("header:x-total-count"));
    let empty = Empty {
        null: false,
        no_content: false,
        absent: true,
    };
    assert_eq!(page.empty, empty);
    let condition = |pointer: &str, value| Condition {
        pointer: pointer.to_owned(),
        value: Some(value),
    };
    assert_eq!(page.fail_if, Some(condition("/ok", json!(false))));
    assert_eq!(page.error.as_deref(), Some("/why"));
    let paging = poll.pagination;
    assert_eq!(paging.stop, Some(Stop::Told(condition("/done", json!(1)))));
    assert_eq!(paging.repeat_query, ["key"]);
}

#[test]
fn what_fits_together_is_taken() {
    for settings in [
        "records = \"/1\"\ntotal = \"/0/total\"",
        "records = \"\"\nfail_if = { pointer = \"/error\" }",
        "records = \"/items\"\nfail_if = { pointer = \"/error\" }\nerror = \"/error/message\"",
        "pagination = { type = \"page\", pages = \"header:x-wp-totalpages\", stop = { status = [400] } }",
        "pagination = { type = \"cursor\", next = \"last:/id\", limit = 10, stop = \"short-page\" }",
        "pagination = { type = \"cursor\", next = \"header:x-next\", stop = \"same-link\" }",
        "pagination = { type = \"offset\", first = 1, step = \"limit\", limit = 10 }",
        "format = \"csv\"\ncsv = { delimiter = \"\\t\" }\ntotal = \"header:x-count\"",
        "format = \"ndjson\"\npagination = { type = \"cursor\", next = \"last:/id\" }",
        "records = \"/a\"\npagination = { type = \"next-url\", next = \"/links/0/url\", stop = \"empty-page\" }",
    ] {
        taken(&[&poll(settings)]);
    }
}

#[test]
fn places_are_pointers() {
    refuse(&[
        ("records = \"users\"", "records", "JSON Pointer"),
        ("records = \"/\"", "records", "the whole body is \"\""),
        ("records = \"/a~2\"", "records", "neither ~0"),
        (
            "records = \"/a\"\ntotal = \"/b/*\"",
            "total",
            "only records may have",
        ),
        (
            "records = \"/a\"\ntotal = \"header:a b\"",
            "total",
            "must name a header",
        ),
        (
            "records = \"/a\"\ntotal = \"last:/n\"",
            "total",
            "only pagination.next",
        ),
        (
            "records = \"/a\"\ntotal = \"\"",
            "total",
            "must lead to a value",
        ),
        (
            "total = \"/total\"",
            "total",
            "needs a body that is an object",
        ),
        ("records = \"/a\"\ntotal = \"/a/b\"", "total", "within it"),
        (
            "records = \"/a\"\nfail_if = { pointer = \"/a/b\" }",
            "fail_if",
            "within it",
        ),
        ("records = \"/a\"\nerror = \"why\"", "error", "JSON Pointer"),
        (
            "records = \"/a\"\npagination = { type = \"next-url\", next = \"last:/id\" }",
            "pagination.next",
            "only pagination.next of type = \"cursor\"",
        ),
        (
            "pagination = { type = \"cursor\", next = \"last:id\" }",
            "pagination.next",
            "starts with a slash",
        ),
    ]);
}

#[test]
fn keys_of_pages_that_do_not_go_together() {
    refuse(&[
        ("map_key = \"id\"", "map_key", "records_as = \"map\""),
        (
            "records_as = \"maps\"",
            "records_as",
            "did you mean \"map\"?",
        ),
        ("csv = { header = false }", "csv", "format = \"csv\""),
        (
            "format = \"csv\"\ncsv = { delimiter = \"\\t\\t\" }",
            "csv",
            "one ASCII character",
        ),
        (
            "format = \"ndjson\"\nrecords_as = \"object\"",
            "records_as",
            "means nothing for this format",
        ),
        (
            "format = \"ndjson\"\nrecords = \"/items\"",
            "records",
            "means nothing for this format",
        ),
        (
            "format = \"csv\"\npagination = { type = \"page\", pages = \"/pages\" }",
            "pagination.pages",
            "or name a header",
        ),
        ("empty = [\"nothing\"]", "empty", "entry 1 must be one of"),
        ("fail_if = { value = 1 }", "fail_if", "breaks the rule"),
        (
            "records_as = \"object\"\npagination = { type = \"page\" }",
            "records_as",
            "a page with one record",
        ),
    ]);
}

#[test]
fn cursors_that_are_no_text_have_rules_of_their_own() {
    let paging = |more: &str| {
        format!("[poll.users.pagination]\ntype = \"cursor\"\nnext = \"/next\"\n{more}")
    };
    let append = |more: &str| format!("mode = \"append\"\n{}", paging(more));
    let watermark = "watermark = { field = \"id\", format = \"serial\" }\n";
    let other = "then = { url = \"https://other.example.com/a\" }";
    let body = "then = { url = \"https://api.example.com/b\", body = { cursor = \"{cursor}\" } }";
    let unknown = "then = { url = \"https://api.example.com/{x}\" }";
    for (settings, key, words) in [
        (
            paging("next_as = \"parameters\"\nparam = \"c\""),
            "pagination.param",
            "an object of parameters",
        ),
        (
            format!(
                "{watermark}{}",
                append("next_as = \"json\"\nbegin = \"mark\"")
            ),
            "pagination.begin",
            "only text",
        ),
        (paging("begin = \"mark\""), "pagination.begin", "for mode"),
        (
            append("begin = \"mark\""),
            "pagination.begin",
            "needs a watermark",
        ),
        (
            append("begin = \"token\""),
            "pagination.begin",
            "needs resume_from",
        ),
        (
            format!(
                "resume_from = \"/t\"\nresume_into = \"query:t\"\n{}",
                append("begin = \"token\"")
            ),
            "pagination.begin",
            "remove resume_into",
        ),
        (paging(other), "pagination.then", "of the same origin"),
        (
            paging("then = { path = \"/a\" }"),
            "pagination.then",
            "of the same origin",
        ),
        (paging(body), "pagination.then", "has no body"),
        (paging(unknown), "pagination.then", "{x} is no placeholder"),
        (
            "pagination = { type = \"offset\", next_as = \"json\" }".to_owned(),
            "pagination.next_as",
            "means nothing",
        ),
    ] {
        let settings = format!("records = \"/items\"\n{settings}");
        refuse(&[(&settings, key, words)]);
    }
    let whole = format!(
        "records = \"/items\"\nmethod = \"POST\"\nmode = \"append\"\nresume_from = \"/next\"\n{}",
        paging(&format!("begin = \"token\"\n{body}"))
    );
    let mark = format!(
        "records = \"/items\"\nmode = \"append\"\n{watermark}{}",
        paging("begin = \"mark\"\nparam = \"after\"")
    );
    taken(&[&poll(&whole), &poll(&mark)]);
}

#[test]
fn keys_of_pagination_that_do_not_go_together() {
    refuse(&[
        (
            "pagination.limit_param = \"n\"",
            "pagination.limit_param",
            "how many",
        ),
        ("pagination.first = 1", "pagination.first", "means nothing"),
        (
            "pagination.stop = \"empty-page\"",
            "pagination.stop",
            "means nothing",
        ),
        (
            "pagination = { type = \"cursor\", next = \"last:/id\", first = 1 }",
            "pagination.first",
            "means nothing",
        ),
        (
            "pagination = { type = \"offset\", pages = \"header:x-pages\" }",
            "pagination.pages",
            "means nothing",
        ),
        (
            "query = { a = \"1\" }\npagination = { type = \"page\", repeat_query = [\"a\"] }",
            "pagination.repeat_query",
            "means nothing",
        ),
        (
            "pagination = { type = \"link-header\", repeat_query = [\"a\"] }",
            "pagination.repeat_query",
            "is not in query",
        ),
        (
            "pagination.type = \"cursor\"",
            "pagination.type",
            "pagination.next",
        ),
        (
            "pagination.type = \"pages\"",
            "pagination.type",
            "did you mean \"page\"?",
        ),
        (
            "pagination.typ = \"page\"",
            "pagination.typ",
            "did you mean `type`?",
        ),
        (
            "pagination = { type = \"offset\", step = \"limit\" }",
            "pagination.step",
            "pagination.limit must say",
        ),
        (
            "pagination = { type = \"offset\", stop = \"short-page\" }",
            "pagination.stop",
            "pagination.limit must say",
        ),
        (
            "pagination = { type = \"offset\", stop = \"same-link\" }",
            "pagination.stop",
            "for pages that name the next one",
        ),
        (
            "records = \"/a\"\npagination = { type = \"page\", more = \"/m\", stop = { pointer = \"/d\" } }",
            "pagination.stop",
            "say the same",
        ),
    ]);
}

#[test]
fn what_is_no_rule_for_the_last_page() {
    let stop = |rule: &str| format!("pagination = {{ type = \"page\", stop = {rule} }}");
    for (rule, words) in [
        ("\"empty\"", "must be \"empty-page\", \"same-link\""),
        ("5", "must be text in quotes"),
        ("{ pointer = 5 }", "pointer must be text"),
        ("{ pointer = \"done\" }", "starts with a slash"),
        ("{ pointer = \"\" }", "must lead to a value"),
        ("{ pointer = \"/done\", value = [1] }", "value must be text"),
        (
            "{ pointr = \"/done\" }",
            "must be \"empty-page\", \"same-link\"",
        ),
        ("{ status = [] }", "a list of statuses"),
        ("{ status = [429] }", "a list of statuses"),
        ("{ status = 404 }", "a list of statuses"),
    ] {
        refuse(&[(&stop(rule), "pagination.stop", words)]);
    }
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let warnings = |settings: &str| load(&poll(settings), &[]).unwrap().warnings.join("\n");
    let lost = warnings("records = \"/a\"\nrecords_as = \"map\"");
    assert!(
        lost.contains("map_key") && lost.contains("are lost"),
        "{lost}"
    );
    let zero = warnings("pagination = { type = \"offset\", first = 0 }");
    assert!(zero.contains("pagination.first"), "{zero}");
}
