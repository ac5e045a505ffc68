//! Every value is found as it was sent: digits, nulls, and what is nested.

use serde_json::json;
use wiremock::ResponseTemplate;

use super::columns::views;
use super::{lake, poll, setup};
use crate::support::api::Api;

/// Members that any reader likes to change.
const ODD: &str = r#""big":12345678901234567890123.45,"whole":9007199254740993,"larger":123456789012345678901234567890,"one":1.0,"exp":1e5,"tiny":-0.10e-3,"none":null,"text":"1e5, null: \"1.0\"","list":[1e5,null,{"n":null}]"#;
const DEEP: &str = r#"{"x":1.50,"y":[1e5,null],"z":{"n":null}}"#;

fn api() -> Api {
    let body = format!(
        "{{\"things\":[{{\"id\":1,{ODD},\"deep\":{DEEP},\"extra\":{{\"n\":null,\"d\":1.10}}}}]}}"
    );
    Api::start(move |_, _| {
        ResponseTemplate::new(200).set_body_raw(body.clone(), "application/json")
    })
}

#[test]
fn every_value_is_as_it_was_sent_in_every_format() {
    let api = api();
    let own = "\"extra\":{\"n\":null,\"d\":1.10}";
    for (format, has_schema) in [
        ("ndjson", true),
        ("ndjson.zst", false),
        ("parquet", true),
        ("parquet", false),
    ] {
        let named = if has_schema {
            "schema = \"thing.json\"\n"
        } else {
            ""
        };
        let setup = setup(
            &api.url(),
            &format!("{named}[batch]\nformat = \"{format}\""),
        );
        let schema = json!({"properties": {"id": {"type": "integer"}, "deep": {"type": "object"}, "absent": {}}});
        #[allow(clippy::disallowed_methods, reason = "tests write their own files")]
        std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
        let (told, code) = poll(&setup);
        assert_eq!(code, Some(0), "{told}");
        let sql = views(&setup);
        if has_schema {
            let found = lake(&setup).query(
                &sql,
                "SELECT id, deep::VARCHAR, absent, extra::VARCHAR FROM things",
            );
            let expected = json!([[1, DEEP, null, format!("{{{ODD},{own}}}")]]);
            assert_eq!(found, expected, "{format}");
        } else {
            // What a number of 64 bits cannot hold is JSON.
            let found = lake(&setup).query(
                &sql,
                "SELECT big::VARCHAR, whole, larger::VARCHAR, one, exp, tiny, \"text\", list::VARCHAR,
                 deep::VARCHAR, extra::VARCHAR FROM things",
            );
            let expected = json!([[
                "12345678901234567890123.45",
                9_007_199_254_740_993_u64,
                "123456789012345678901234567890",
                1.0,
                1e5,
                -0.0001,
                "1e5, null: \"1.0\"",
                "[1e5,null,{\"n\":null}]",
                DEEP,
                format!("{{\"none\":null,{own}}}")
            ]]);
            assert_eq!(found, expected, "{format}");
        }
    }
}
