//! The many forms that APIs give to pages: each is read to its end, and what is wrong is told.

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{poll, poll_in_vain, poll_well, setup};
use crate::support::api::{Api, RawApi, number, page, param, things, write_head};

/// Polls once, and finds this many rows; what was said.
fn reads(api: &Api, settings: &str, rows: u64) -> String {
    let (said, runs) = poll_well(&setup(&api.url(), settings));
    assert_eq!(runs.runs[0].rows, rows, "{said}");
    said
}

/// An API of 25 records that answers a request for those from `from` on.
fn from(
    name: &'static str,
    answer: impl Fn(usize, Vec<Value>) -> ResponseTemplate + Send + Sync + 'static,
) -> Api {
    Api::start(move |request, _| {
        let from = number(request, name);
        answer(from, things(from.min(25)..(from + 10).min(25)))
    })
}

#[test]
fn null_on_the_way_to_the_next_page_is_the_end() {
    let api = from("offset", |from, things| {
        let next = (from < 20).then(|| json!({"offset": from + 10}));
        page(json!({"things": things, "next_page": next, "meta": null}))
    });
    let settings = "total = \"/meta/total\"\n\
                    pagination = { type = \"cursor\", param = \"offset\", next = \"/next_page/offset\" }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn link_objects_are_links_and_lists_have_indexes() {
    let api = from("from", |from, things| {
        let next = json!({"rel": "next", "href": format!("/things?from={}", from + 10)});
        let first = json!({"rel": "first", "href": "/things"});
        let links = if from < 20 {
            vec![first, next]
        } else {
            vec![first]
        };
        page(json!({"things": things, "links": links, "counts": [{"n": "25"}]}))
    });
    let settings =
        "total = \"/counts/0/n\"\npagination = { type = \"next-url\", next = \"/links\" }";
    reads(&api, settings, 25);
    let settings = "pagination = { type = \"next-url\", next = \"/links/1\" }";
    reads(&api, settings, 25);
}

#[test]
fn records_lie_within_the_elements_of_a_list() {
    let api = Api::start(|_, _| {
        let wrapped = things(0..5)
            .into_iter()
            .map(|thing| json!({"thing": thing, "score": 1}));
        page(json!([{"took": 5}, {"hits": wrapped.collect::<Vec<_>>()}]))
    });
    let setup = setup(&api.url(), "");
    let text = super::config(&api.url(), "");
    setup.configure(&text.replace("records = \"/things\"", "records = \"/1/hits/*/thing\""));
    let (_, runs) = poll_well(&setup);
    assert_eq!(runs.runs[0].rows, 5);
}

#[test]
fn nothing_to_report_is_no_failure() {
    let answers: [fn() -> ResponseTemplate; 4] = [
        || page(json!({"things": null})),
        || page(json!({"things": []})),
        || ResponseTemplate::new(204),
        || ResponseTemplate::new(200),
    ];
    for answer in answers {
        let api = Api::start(move |_, _| answer());
        reads(&api, "", 0);
        let (said, code) = poll(&setup(&api.url(), "mode = \"append\""));
        assert!(code == Some(0) && said.contains("0 records"), "{said}");
    }
    let absent = Api::start(|_, _| page(json!({"page": 1})));
    poll_in_vain(
        &setup(&absent.url(), ""),
        &["page 1: there is nothing at /things; expected a list of records there (`empty`"],
    );
    reads(&absent, "empty = [\"null\", \"absent\"]", 0);
    let null = Api::start(|_, _| page(json!({"things": null})));
    let words = ["page 1: there is null at /things; expected a list of records there"];
    poll_in_vain(&setup(&null.url(), "empty = []"), &words);
    let none = Api::start(|_, _| ResponseTemplate::new(204));
    let words = ["page 1: answered 204 No Content; expected 200 OK (`empty` has not \"204\")"];
    poll_in_vain(&setup(&none.url(), "empty = [\"null\"]"), &words);
}

/// A body that may have broken off before its first byte is asked for again.
#[test]
fn an_empty_body_without_a_length_is_asked_for_again() {
    let api = RawApi::start(|_, n, stream| {
        write_head(stream, "connection: close");
        if n > 0 {
            use std::io::Write as _;
            let _gone = stream.write_all(b"{\"things\":[{\"id\":1}]}");
        }
    });
    let (_, runs) = poll_well(&setup(&api.url(), ""));
    assert_eq!((runs.runs[0].rows, api.connections()), (1, 2));
}

#[test]
fn an_api_that_says_it_failed_is_believed() {
    let api = Api::start(|_, _| {
        page(json!({"things": things(0..3), "ok": false, "error": "token s3cret expired"}))
    });
    let settings = "auth = { type = \"bearer\", token = \"s3cret\" }\n\
                    fail_if = { pointer = \"/ok\", value = false }";
    let said = poll_in_vain(
        &setup(&api.url(), settings),
        &[
            "page 1: the body reports a failure at /ok (fail_if) (the API says: \"token … expired\")",
        ],
    );
    assert!(!said.contains("s3cret"), "{said}");
    // An error in place of the records is no empty list.
    let api =
        Api::start(|_, _| page(json!({"things": null, "errors": [{"message": "no such field"}]})));
    poll_in_vain(
        &setup(&api.url(), ""),
        &["there is null at /things", "no such field"],
    );
}

#[test]
fn the_text_of_an_error_is_shown_without_secrets() {
    let api = Api::start(|request, _| {
        let url = request.url.query().unwrap_or_default().to_owned();
        let text = format!("bad\nquery: {url}");
        let body = json!({"why": {"text": text}, "message": "Bad Request"});
        ResponseTemplate::new(400).set_body_json(body)
    });
    let setup_of = |settings: &str| {
        setup(
            &api.url(),
            &format!("query = {{ key = \"top secret\" }}\n{settings}"),
        )
    };
    let words = ["answered 400 Bad Request (the API says: \"Bad Request\"); expected 200 OK"];
    poll_in_vain(&setup_of(""), &words);
    let said = poll_in_vain(
        &setup_of("error = \"/why/text\""),
        &["answered 400 Bad Request (the API says: \"bad query: key=…\")"],
    );
    assert!(!said.contains("top"), "{said}");
}

#[test]
fn a_link_that_is_always_there_ends_by_rule() {
    let always = || {
        from("from", |from, things| {
            let next = format!("/things?from={}", from + things.len());
            page(json!({"things": things, "next": next, "end_of_stream": from + 10 >= 25}))
        })
    };
    let setting = |stop: &str| {
        format!(
            "pagination = {{ type = \"next-url\", next = \"/next\", limit = 10, stop = {stop} }}"
        )
    };
    for (stop, requests) in [
        ("\"empty-page\"", 4),
        ("\"same-link\"", 4),
        ("\"short-page\"", 3),
        ("{ pointer = \"/end_of_stream\", value = true }", 3),
    ] {
        let api = always();
        reads(&api, &setting(stop), 25);
        assert_eq!(api.requests().len(), requests, "{stop}");
    }
    let words = [
        "page 4",
        "was read before",
        "pagination.stop = \"same-link\"",
    ];
    let settings = "pagination = { type = \"next-url\", next = \"/next\" }";
    poll_in_vain(&setup(&always().url(), settings), &words);
}

#[test]
fn a_status_behind_the_last_page_is_the_end_and_one_in_its_place_is_not() {
    let api = |first_fails: bool| {
        Api::start(move |request, _| {
            let number = number(request, "page");
            if number > 3 || first_fails {
                let body =
                    json!({"code": "rest_post_invalid_page_number", "message": "No such page"});
                return ResponseTemplate::new(400).set_body_json(body);
            }
            let from = (number - 1) * 10;
            page(json!({"things": things(from..(from + 10).min(25))}))
        })
    };
    let settings = "pagination = { type = \"page\", stop = { status = [400, 404] } }";
    reads(&api(false), settings, 25);
    let words = ["page 1: answered 400 Bad Request (the API says: \"No such page\")"];
    poll_in_vain(&setup(&api(true).url(), settings), &words);
    let settings = "pagination = { type = \"page\" }";
    poll_in_vain(
        &setup(&api(false).url(), settings),
        &["page 4: answered 400"],
    );
    // A total that was not reached shows that the pages broke off.
    let api = Api::start(|request, _| match number(request, "page") {
        1 => page(json!({"things": things(0..10), "total": 25})),
        _ => ResponseTemplate::new(404),
    });
    let settings =
        "total = \"/total\"\npagination = { type = \"page\", stop = { status = [404] } }";
    poll_in_vain(
        &setup(&api.url(), settings),
        &["10 records were read", "the total says 25"],
    );
}

#[test]
fn the_number_of_pages_ends_them_wherever_it_is() {
    let body = Api::start(|request, _| {
        let from = (number(request, "page") - 1) * 10;
        page(json!({"things": things(from..(from + 10).min(25)), "total_pages": "3"}))
    });
    reads(
        &body,
        "pagination = { type = \"page\", pages = \"/total_pages\" }",
        25,
    );
    assert_eq!(body.requests().len(), 3);
    let header = Api::start(|request, _| {
        let from = (number(request, "page") - 1) * 10;
        let answer = page(json!(things(from..(from + 10).min(25))));
        answer
            .insert_header("x-wp-totalpages", "3")
            .insert_header("x-wp-total", "25")
    });
    let setup = setup(&header.url(), "");
    let text = super::config(
        &header.url(),
        "total = \"header:X-WP-Total\"\npagination = { type = \"page\", pages = \"header:X-WP-TotalPages\" }",
    );
    setup.configure(&text.replace("records = \"/things\"\n", ""));
    let (_, runs) = poll_well(&setup);
    assert_eq!((runs.runs[0].rows, header.requests().len()), (25, 3));
}

#[test]
fn the_next_page_is_named_by_a_header_or_by_a_record() {
    let api = from("page", |from, things| {
        let answer = page(json!({"things": things}));
        let next = if from < 20 {
            (from + 10).to_string()
        } else {
            String::new()
        };
        answer.insert_header("x-next-page", next)
    });
    let settings =
        "pagination = { type = \"cursor\", param = \"page\", next = \"header:X-Next-Page\" }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 3);

    let after = |request: &Request| {
        param(request, "after").map_or(0, |id| id.parse::<usize>().unwrap() + 1)
    };
    let api = Api::start(move |request, _| {
        let from = after(request);
        page(json!({"things": things(from..(from + 10).min(25))}))
    });
    let settings = "pagination = { type = \"cursor\", param = \"after\", next = \"last:/id\" }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 4);
    let settings = "pagination = { type = \"cursor\", param = \"after\", next = \"last:/id\", limit = 10, \
                    stop = \"short-page\" }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 4 + 3);
}

#[test]
fn a_link_header_says_that_there_are_no_results() {
    let api = from("cursor", |from, things| {
        let has = from < 20;
        let link = format!(
            "</things?cursor={}>; rel=\"next\"; results=\"{has}\"; cursor=\"x\"",
            from + 10
        );
        page(json!({"things": things})).insert_header("link", link)
    });
    reads(&api, "pagination = { type = \"link-header\" }", 25);
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn links_are_followed_exactly_as_they_are() {
    let api = from("page_info", |from, things| {
        let next = (from < 20).then(|| format!("/things?page_info={}", from + 10));
        page(json!({"things": things, "next": next}))
    });
    let paging = "pagination = { type = \"next-url\", next = \"/next\"";
    let query = "query = { status = \"open\", key = \"k\" }";
    reads(&api, &format!("{query}\n{paging} }}"), 25);
    let queries = |api: &Api| {
        let requests = api.requests();
        let all = requests
            .iter()
            .map(|request| request.url.query().unwrap_or_default().to_owned());
        all.collect::<Vec<_>>()
    };
    assert_eq!(
        queries(&api),
        ["key=k&status=open", "page_info=10", "page_info=20"]
    );
    reads(
        &api,
        &format!("{query}\n{paging}, repeat_query = [\"key\"] }}"),
        25,
    );
    assert_eq!(
        queries(&api)[4..],
        ["page_info=10&key=k", "page_info=20&key=k"]
    );
}

#[test]
fn offsets_count_from_one_or_by_the_limit() {
    // An API that counts from 1.
    let api = Api::start(|request, _| {
        let start = number(request, "startIndex");
        assert!(start > 0);
        page(json!({"things": things(start - 1..(start + 9).min(25)), "total": 25}))
    });
    let settings = "total = \"/total\"\n\
                    pagination = { type = \"offset\", param = \"startIndex\", first = 1 }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 3);
    // An API that hides every fifth record and counts it all the same.
    let api = Api::start(|request, _| {
        let offset = number(request, "offset");
        let shown = things(offset..(offset + 10).min(25)).into_iter();
        let shown = shown.filter(|thing| thing["id"].as_u64().unwrap() % 5 != 0);
        page(json!({"things": shown.collect::<Vec<_>>(), "total": 25}))
    });
    let settings = "total = \"/total\"\n\
                    pagination = { type = \"offset\", limit = 10, step = \"limit\" }";
    reads(&api, settings, 20);
}

#[test]
fn totals_and_flags_are_taken_as_apis_write_them() {
    let api = from("offset", |from, things| {
        let more = i32::from(from < 20);
        page(json!({"things": things, "total": "25", "more": more}))
    });
    let settings = "total = \"/total\"\npagination = { type = \"offset\", more = \"/more\" }";
    reads(&api, settings, 25);
    assert_eq!(api.requests().len(), 3);
    let api = from("offset", |from, things| {
        let total = json!({"value": 10, "relation": "gte"});
        page(
            json!({"things": things, "total": total, "more": if from < 20 { "true" } else { "false" }}),
        )
    });
    reads(&api, settings, 25);
}

#[test]
fn other_statuses_than_200_are_pages_too() {
    for status in [201, 203, 206] {
        let api = Api::start(move |_, _| {
            ResponseTemplate::new(status).set_body_json(json!({"things": things(0..3)}))
        });
        reads(&api, "", 3);
    }
}

#[test]
fn equal_pages_of_readings_are_no_loop() {
    let api = Api::start(|request, _| {
        let from = number(request, "cursor");
        let next = (from < 3).then(|| (from + 1).to_string());
        page(json!({"things": [{"temperature": 21}, {"temperature": 21}], "next": next}))
    });
    let settings = "pagination = { type = \"cursor\", next = \"/next\" }";
    let setup = setup(&api.url(), settings);
    setup.configure(&super::config(&api.url(), settings).replace("id = \"id\"\n", ""));
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("8 records"), "{said}");
    assert!(
        said.contains("7 of 8 records are equal to one before, and `id` is not set"),
        "{said}"
    );
}

#[test]
fn a_forgotten_pagination_is_told() {
    let api = Api::start(|_, _| page(json!({"things": things(0..10), "has_more": true})));
    let said = reads(&api, "", 10);
    assert!(
        said.contains("warning: page 1 seems to have a next page, by /has_more, and pagination.type is not set"),
        "{said}"
    );
    let api = Api::start(|_, _| {
        page(json!({"things": things(0..10)}))
            .insert_header("link", "</things?page=2>; rel=\"next\"")
    });
    let said = reads(&api, "", 10);
    assert!(said.contains("by its Link header"), "{said}");
}

#[test]
fn a_failure_is_told_once() {
    let api = Api::start(|_, _| ResponseTemplate::new(404));
    let said = poll_in_vain(&setup(&api.url(), ""), &["answered 404"]);
    assert_eq!(said.matches("answered 404").count(), 1, "{said}");
}

#[test]
fn long_cursors_are_sent_back_whole() {
    let cursor = "c".repeat(60 << 10);
    let sent = cursor.clone();
    let api = Api::start(move |request, _| {
        let from = param(request, "cursor").map_or(0, |text| {
            assert_eq!(text, sent);
            10
        });
        let next = (from == 0).then(|| sent.clone());
        page(json!({"things": things(from..from + 10), "next": next}))
    });
    for mode in ["snapshot", "append"] {
        let settings =
            format!("mode = \"{mode}\"\npagination = {{ type = \"cursor\", next = \"/next\" }}");
        let (said, code) = poll(&setup(&api.url(), &settings));
        assert!(code == Some(0) && said.contains("20 records"), "{said}");
    }
}

/// Answers with these bytes and this header.
fn raw(header: &'static str, body: Vec<u8>) -> RawApi {
    RawApi::start(move |_, _, stream| {
        use std::io::Write as _;
        let head = format!(
            "HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let _gone = stream.write_all(head.as_bytes());
        let _gone = stream.write_all(&body);
    })
}

/// Polls a page of another format, without `records`; what was said, and the rows.
fn reads_format(api: &RawApi, settings: &str, rows: u64) -> String {
    let setup = setup(&api.url(), settings);
    let text = super::config(&api.url(), settings);
    setup.configure(&text.replace("records = \"/things\"\n", ""));
    let (said, runs) = poll_well(&setup);
    assert_eq!(runs.runs[0].rows, rows, "{said}");
    said
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn lines_and_tables_are_pages_too() {
    let lines = b"{\"id\":1}\n\n{\"id\":2}\r\n{\"id\":3}";
    reads_format(&raw("x: y", lines.to_vec()), "format = \"ndjson\"", 3);
    let loose = "format = \"ndjson\"\nguards.max_refused = \"50 %\"";
    let said = reads_format(
        &raw("x: y", b"{\"id\":1}\n{\"id\":\n{\"id\":2}\n".to_vec()),
        loose,
        2,
    );
    assert!(said.contains("page 1, record 1: json at \"\""), "{said}");
    let table = b"id;name\r\n1;\"a;b\"\r\n2;\r\n".to_vec();
    reads_format(
        &raw("x: y", table),
        "format = \"csv\"\ncsv = { delimiter = \";\" }",
        2,
    );
    // A file whose server says nothing of its compression.
    reads_format(&raw("x: y", gzipped(lines)), "format = \"ndjson\"", 3);
    reads_format(
        &raw("content-encoding: gzip", gzipped(&gzipped(lines))),
        "format = \"ndjson\"",
        3,
    );
    let cut = raw("x: y", b"{\"id\":1}\n{\"id\":".to_vec());
    let settings = "format = \"ndjson\"\nbudget = \"1s\"";
    let setup = setup(&cut.url(), settings);
    setup.configure(&super::config(&cut.url(), settings).replace("records = \"/things\"\n", ""));
    poll_in_vain(&setup, &["the answer was cut off"]);
}

#[test]
fn other_charsets_are_taken() {
    let names = |header, body: Vec<u8>| {
        let setup = setup(&raw(header, body).url(), "");
        poll_well(&setup);
        let lake = setup.directory().join("lake");
        let keys = lakehook::lake::reader::keys_below(&lake, "things").unwrap();
        let object = std::fs::read(lake.join(&keys[0])).unwrap();
        String::from_utf8(zstd::decode_all(&*object).unwrap()).unwrap()
    };
    let latin = b"{\"things\":[{\"id\":1,\"name\":\"Ren\xe9e\"}]}".to_vec();
    let rows = names(
        "content-type: application/json; charset=ISO-8859-1",
        latin.clone(),
    );
    assert!(rows.contains("\"name\":\"Renée\""), "{rows}");
    let wide = "\u{feff}{\"things\":[{\"id\":1,\"name\":\"Renée\"}]}";
    let wide = wide.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let rows = names("x: y", wide);
    assert!(rows.contains("\"name\":\"Renée\""), "{rows}");
    let words = ["page 1: not UTF-8 at byte 30; expected JSON in UTF-8"];
    poll_in_vain(&setup(&raw("x: y", latin).url(), ""), &words);
}

#[test]
fn records_are_a_map_by_name() {
    let api = Api::start(|_, _| {
        page(json!({"things": {"ann": {"age": 5}, "bob": {"age": 6}}, "total": 2}))
    });
    let settings = "records_as = \"map\"\nmap_key = \"name\"\ntotal = \"/total\"";
    let setup = setup(&api.url(), settings);
    setup.configure(&super::config(&api.url(), settings).replace("id = \"id\"", "id = \"name\""));
    let (said, code) = poll(&setup);
    assert!(code == Some(0) && said.contains("2 records"), "{said}");
    let again = poll(&setup).0;
    assert!(again.contains("unchanged since"), "{again}");
}
