//! The rules of hooks, each with cases that break it.

use super::super::SchemeName;
use super::rules::{refused, taken};
use super::{errors, load, load_from};

fn hook(settings: &str) -> String {
    format!("[hook.github]\nscheme = \"github\"\nsecrets = [\"It's a Secret\"]\n{settings}")
}

#[test]
fn a_hook_is_read_whole_and_its_secrets_are_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("more"), "another one\n").unwrap();
    let loaded = load_from(dir.path(), &hook("secrets_file = \"more\""), &[]).unwrap();
    let own = &loaded.config.hook["github"];
    assert_eq!((own.scheme, own.secrets.len()), (SchemeName::GitHub, 2));
    assert_eq!(own.path("github"), "/webhook/github");
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("It's a Secret") && !shown.contains("another one"));
}

#[test]
fn what_makes_no_hook_is_refused() {
    for (settings, key, words) in [
        ("path = \"/health\"", "path", "plain path"),
        ("path = \"/webhook/events\"", "path", "another webhook"),
        ("header = \"X-Sig\"", "header", "scheme = \"hmac\" alone"),
        ("id = \"id\"", "id", "JSON Pointer"),
        ("type = \"header:a b\"", "type", "JSON Pointer"),
    ] {
        let (text, key) = (hook(settings), format!("hook.github.{key}"));
        refused(&[(&text, &key, words)]);
    }
    let short = "[hook.a]\nscheme = \"github\"\nsecrets = [\"short\"]";
    refused(&[(short, "hook.a.secrets", "too short")]);
    let no_key = "[hook.a]\nsecrets = [\"whsec_not base64!\"]";
    refused(&[(no_key, "hook.a.secrets", "must be base64")]);
    let unknown = "[hook.a]\nscheme = \"githab\"\nsecrets = [\"12345678\"]";
    refused(&[(unknown, "hook.a.scheme", "did you mean \"github\"?")]);
    for text in [
        "[hook.a]\nscheme = \"github\"",
        "[hook.a]\nscheme = \"hmac\"\nsecrets = [\"12345678\"]",
    ] {
        assert!(errors(text, &[]).contains("must "), "{text}");
    }
    assert!(errors("[hook.A]\nsecrets = [\"12345678\"]", &[]).contains("small letters"));
}

#[test]
fn a_signed_webhook_may_listen_beyond_this_machine() {
    let text = "server.listen = \"0.0.0.0:4000\"\nevents.signing_secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]";
    taken(&[text]);
    assert!(load("server.listen = \"0.0.0.0:4000\"", &[]).is_err());
    refused(&[(
        "events.signing_secrets = [\"?\"]",
        "events.signing_secrets",
        "must be base64",
    )]);
}
