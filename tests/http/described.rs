//! The description of the interface: it fits the configuration, and answers fit the description.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{request, setup};
use crate::support::http::Answer;
use crate::support::process::Setup;
use crate::support::python;

fn published_file() -> PathBuf {
    python::repository().join("schemas/openapi.json")
}

fn published() -> Value {
    serde_json::from_str(&std::fs::read_to_string(published_file()).unwrap()).unwrap()
}

fn described(setup: &Setup) -> Value {
    let output = setup.run(&["check", "--openapi"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Panics unless a problem is described: its status and type, its headers and its schema. Every test of a problem calls
/// this.
pub(super) fn holds(answer: &Answer) {
    let document = published();
    let body = answer.json();
    let responses = document["components"]["responses"].as_object().unwrap();
    let is_it = |response: &&Value| {
        let own =
            &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"];
        let kinds = own["type"]["enum"].as_array().unwrap();
        own["status"]["const"] == answer.status && kinds.contains(&body["type"])
    };
    let response = responses.values().find(is_it);
    let response = response.unwrap_or_else(|| panic!("nobody describes {answer:?}"));
    let mut schema = response["content"]["application/problem+json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&body), "{body}");
    for name in response["headers"].as_object().unwrap().keys() {
        let value = answer.header(&name.to_ascii_lowercase());
        let value = value.unwrap_or_else(|| panic!("no {name}: {answer:?}"));
        let schema = &document["components"]["headers"][name]["schema"];
        let value = match value.parse::<u64>() {
            Ok(number) if schema["type"] == "integer" => json!(number),
            _ => json!(value),
        };
        let validator = jsonschema::validator_for(schema).unwrap();
        assert!(validator.is_valid(&value), "{name}: {value}");
    }
}

#[test]
fn the_published_description_is_that_of_the_default_configuration() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    let generated = serde_json::to_string_pretty(&described(&setup)).unwrap() + "\n";
    if std::env::var_os("LAKEHOOK_UPDATE").is_some() {
        std::fs::write(published_file(), &generated).unwrap();
    }
    assert!(
        std::fs::read_to_string(published_file()).unwrap() == generated,
        "schemas/openapi.json is stale: test once with LAKEHOOK_UPDATE=1"
    );
    // Checked by an independent validator.
    let output = std::process::Command::new(python::python())
        .args(["-m", "openapi_spec_validator"])
        .arg(published_file())
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_served_is_described_for_its_configuration() {
    let setup = setup(
        "[server]\ntokens = [\"0123456789abcdef\"]\nmetrics_listen = \"127.0.0.1:0\"\n\
         [events]\npath = \"/in\"\ntypes = [\"knock\"]\ndrop = []\nsigning_secrets = [\"whsec_c2VjcmV0\"]\n\
         [hook.chat]\nscheme = \"slack\"\nsecrets = [\"secret-of-chat\"]\n\
         [hook.own]\nscheme = \"hmac\"\nheader = \"X-Own\"\npath = \"/own\"\nsecrets = [\"secret-of-own\"]\n\
         [hook.token]\nauth = [{ type = \"jwt\", secrets = [\"secret-of-token\"] }, \
         { type = \"jwt\", header = \"X-Jwt\", secrets = [\"secret-of-token\"] }, \
         { type = \"jwt\", in_body = true, secrets = [\"secret-of-token\"] }, \
         { type = \"query\", parameter = \"key\", secrets = [\"secret-of-token\"] }]\n",
    );
    let _program = setup.start();
    let answer = request(&setup, "GET", "/openapi.json", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert_eq!(document, described(&setup));
    let paths = document["paths"].as_object().unwrap();
    let paths: Vec<&String> = paths.keys().collect();
    let expected = [
        "/health",
        "/in",
        "/openapi.json",
        "/own",
        "/ready",
        "/webhook/chat",
        "/webhook/token",
    ];
    assert_eq!(paths, expected);
    let of = |pointer: &str| document.pointer(pointer).unwrap().clone();
    assert_eq!(
        of("/components/schemas/Event/properties/event_type/enum"),
        json!(["knock"])
    );
    assert_eq!(
        of("/paths/~1in/post/security"),
        json!([{"token": [], "signature": []}])
    );
    assert_eq!(of("/paths/~1own/post/security"), json!([{"hook_own": []}]));
    assert_eq!(of("/components/securitySchemes/hook_own/name"), "x-own");
    let scheme = |name: &str| of(&format!("/components/securitySchemes/{name}"));
    assert_eq!(
        scheme("hook_token"),
        json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    );
    assert_eq!(scheme("hook_token_2")["name"], "x-jwt");
    assert_eq!(scheme("hook_token_4")["in"], "query");
    assert_eq!(
        of("/paths/~1webhook~1token/post/security"),
        json!([{"hook_token": []}, {"hook_token_2": []}, {}, {"hook_token_4": []}])
    );
    let kinds = |path: &str| {
        let content = of(&format!("/paths/{path}/post/requestBody/content"));
        let kinds = content.as_object().unwrap().keys().cloned();
        kinds.collect::<std::collections::BTreeSet<_>>()
    };
    let of_every_hook = [
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ];
    assert_eq!(kinds("~1own"), of_every_hook.map(str::to_owned).into());
    assert!(kinds("~1webhook~1token").contains("application/jwt"));
    let challenge = "/paths/~1webhook~1chat/post/responses/200/content/application~1json/schema/anyOf/1/required";
    assert_eq!(of(challenge), json!(["challenge"]));
    let text = answer.text();
    assert!(!text.contains("secret-of-") && !text.contains("0123456789abcdef"));
}
