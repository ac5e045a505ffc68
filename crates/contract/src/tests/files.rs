//! Tests the contract with files: the fixtures, the published schema, and a suite of JSON files.

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Accepted {
    name: String,
    event: String,
    row: serde_json::Map<String, Value>,
    contains: Option<String>,
    partition: Option<String>,
}

#[test]
fn what_is_accepted_has_its_row() {
    let fixtures = include_str!("../../../../tests/fixtures/contract/accepted.jsonl");
    let contract = contract(Rules::default());
    for fixture in fixtures.lines() {
        let fixture: Accepted = serde_json::from_str(fixture).unwrap();
        let name = &fixture.name;
        let body = body(&[&fixture.event]);
        let checked = fast::check(&contract, &body, &origin());
        let checked = checked.unwrap_or_else(|| panic!("{name}: refused"));
        assert_eq!(checked.received, 1, "{name}");
        let line = &lines(&checked)[0];
        let row: Value = serde_json::from_str(line).unwrap();
        for (key, expected) in &fixture.row {
            assert_eq!(&row[key], expected, "{name}: {key}");
        }
        assert!(
            line.contains(fixture.contains.as_deref().unwrap_or("")),
            "{name}: {line}"
        );
        assert!(!line.contains(['\n', '\r']), "{name}");
        let partition = fixture.partition.unwrap_or_else(|| {
            let day = row["timestamp"]
                .as_str()
                .unwrap()
                .split('T')
                .next()
                .unwrap();
            format!("events/dt={day}")
        });
        assert_eq!(checked.rows.partitions, [partition], "{name}");
        assert_keys(line);
    }
}

#[derive(Deserialize)]
struct Rejected {
    name: String,
    body: Option<String>,
    event: Option<String>,
    errors: Vec<ExpectedError>,
}

#[derive(Deserialize)]
struct ExpectedError {
    pointer: String,
    code: String,
}

#[test]
fn what_is_rejected_has_its_errors() {
    let fixtures = include_str!("../../../../tests/fixtures/contract/rejected.jsonl");
    let contract = contract(Rules::default());
    for fixture in fixtures.lines() {
        let fixture: Rejected = serde_json::from_str(fixture).unwrap();
        let body = fixture
            .body
            .unwrap_or_else(|| body(&[&fixture.event.unwrap()]));
        let (errors, total) = invalid(contract.check(body.as_bytes(), &origin()));
        let expected: Vec<(String, String)> = fixture
            .errors
            .into_iter()
            .map(|e| (e.pointer, e.code))
            .collect();
        assert_eq!(errors, expected, "{}", fixture.name);
        assert_eq!(total, expected.len(), "{}", fixture.name);
    }
}

#[test]
fn the_published_schema_is_that_of_the_default_rules() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/event.json");
    let generated = serde_json::to_string_pretty(&event_schema(&Rules::default())).unwrap() + "\n";
    if std::env::var_os("LAKEHOOK_UPDATE").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(
        published == generated,
        "schemas/event.json is stale: test once with LAKEHOOK_UPDATE=1"
    );

    // Every accepted fixture is valid according to the published schema.
    let validator = jsonschema::validator_for(&event_schema(&Rules::default())).unwrap();
    for fixture in include_str!("../../../../tests/fixtures/contract/accepted.jsonl").lines() {
        let fixture: Accepted = serde_json::from_str(fixture).unwrap();
        let body: Value = serde_json::from_str(&body(&[&fixture.event])).unwrap();
        assert!(validator.is_valid(&body), "{}", fixture.name);
    }
    let is_valid = |body: &str| validator.is_valid(&serde_json::from_str(body).unwrap());
    assert!(!is_valid(r#"{"events":[{}]}"#) && !is_valid(r#"{"events":[],"x":1}"#));
    assert!(!is_valid(&body(&[&EVENT.replace("click", "clack")])));
}

#[test]
fn the_schemas_of_entities_compile() {
    for text in [
        include_str!("../../../../schemas/user.json"),
        include_str!("../../../../schemas/content.json"),
    ] {
        let schema: Value = serde_json::from_str(text).unwrap();
        assert!(jsonschema::validator_for(&schema).is_ok());
    }
}

#[test]
fn the_json_test_suite_is_read_as_it_should_be() {
    let Some(dir) = std::env::var_os("JSON_TEST_SUITE") else {
        return;
    };
    let contract = contract(Rules::default());
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let value = std::fs::read(&path).unwrap();
        let (before, after) = EVENT.split_at(EVENT.len() - 2);
        let parts = [
            b"{\"events\":[",
            before.as_bytes(),
            b"\"v\":",
            &value,
            after.as_bytes(),
            b"]}",
        ];
        let accepted = contract.check(&parts.concat(), &origin()).is_ok();
        let is_stricter = [
            "y_object_duplicated_key.json",
            "y_object_duplicated_key_and_value.json",
            "y_object_escaped_null_in_key.json",
        ]
        .contains(&&*name);
        match &name[..2] {
            "y_" => assert_eq!(accepted, !is_stricter, "{name}"),
            "n_" => assert!(!accepted, "{name}"),
            _ => {}
        }
        files += 1;
    }
    assert!(files > 300, "{files} files");
}
