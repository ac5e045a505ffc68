//! Lookups: each key once, until its answer is no longer fresh.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{call, rows};
use crate::support::api::{Api, param};
use crate::support::process::Setup;

#[test]
fn each_key_is_looked_up_once_and_what_is_unknown_is_an_answer_too() {
    let api = Api::start(|request, _| match param(request, "domain").as_deref() {
        Some("none.example") => ResponseTemplate::new(404),
        Some("bad.example") => {
            ResponseTemplate::new(400).set_body_json(json!({"error": "no domain"}))
        }
        Some(domain) => {
            ResponseTemplate::new(200).set_body_json(json!({"name": domain.to_uppercase()}))
        }
        None => ResponseTemplate::new(500),
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson\"\n[api.company]\nurl = \"{}\"\n[call.company]\nrows = \"domains.ndjson\"\n\
         api = \"company\"\nmethod = \"GET\"\npath = \"/enrich?domain={{domain}}\"\nkey = \"domain\"\n\
         fresh = \"30d\"\nmissing = [404]\nsettle = \"0s\"\n",
        api.url()
    ));
    let domains = [
        "a.example",
        "b&c.example",
        "none.example",
        "a.example",
        "bad.example",
    ];
    let text: Vec<String> = domains
        .iter()
        .map(|domain| format!("{}\n", json!({"domain": domain, "n": 1})))
        .collect();
    let text = text.concat();
    std::fs::write(setup.directory().join("domains.ndjson"), &text).unwrap();
    let said = call(&setup, &[], 0);
    let expected = "4 requests, 4 groups, 3 rows stored, 1 not known there, 1 refused, 1 in the quarantine, 1 sent before";
    assert!(said.contains(expected), "{said}");
    let mut found: Vec<(String, Value)> = rows(&setup, "company")
        .iter()
        .map(|row| (row["domain"].to_string(), row["name"].clone()))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("\"a.example\"".to_owned(), json!("A.EXAMPLE")),
        ("\"b&c.example\"".to_owned(), json!("B&C.EXAMPLE")),
        ("\"none.example\"".to_owned(), Value::Null),
    ];
    assert_eq!(found, expected);
    // Other members of the row make no difference.
    std::fs::write(
        setup.directory().join("domains.ndjson"),
        text.replace("\"n\":1", "\"n\":2"),
    )
    .unwrap();
    let said = call(&setup, &[], 0);
    assert!(said.contains("0 requests"), "{said}");
    assert_eq!(api.requests().len(), 4);
}
