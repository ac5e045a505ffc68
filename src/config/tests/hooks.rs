//! The rules of hooks, each with cases that break it.

use super::rules::{refused, taken};
use super::{error, errors, load, load_from};

fn hook(settings: &str) -> String {
    format!("[hook.github]\nscheme = \"github\"\nsecrets = [\"It's a Secret\"]\n{settings}")
}

#[test]
fn a_hook_is_read_whole_and_its_secrets_are_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("more"), "another one\n").unwrap();
    let loaded = load_from(dir.path(), &hook("secrets_file = \"more\""), &[]).unwrap();
    let own = &loaded.config.hook["github"];
    assert_eq!((own.pack().name, own.secrets.len()), ("github", 2));
    assert_eq!(own.path("github"), "/webhook/github");
    assert_eq!(
        own.summary("github"),
        "/webhook/github, github, signature in x-hub-signature-256 (2 secrets)"
    );
    let bearer = "[hook.app]\nauth = [{ type = \"bearer\", secrets = [\"a long secret\"] }]";
    let app = load(bearer, &[]).unwrap().config;
    assert_eq!(app.hook["app"].summary("app"), "/webhook/app, bearer token");
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("It's a Secret") && !shown.contains("another one"));
}

#[test]
fn what_makes_no_hook_is_refused() {
    for (settings, key, words) in [
        ("path = \"/health\"", "path", "plain path"),
        ("path = \"/webhook/events\"", "path", "another webhook"),
        ("header = \"X-Sig\"", "header", "scheme = \"hmac\" alone"),
        ("signed = \"{body}\"", "signed", "scheme = \"hmac\" alone"),
        (
            "public_url = \"https://example.com/x\"",
            "public_url",
            "does not sign the URL",
        ),
        ("id = [\"content\", \"/id\"]", "id", "may stand behind it"),
        ("type = [\"/type\", \"none\"]", "type", "or a list of these"),
        (
            "auth = [{}, { type = \"bearer\" }]",
            "auth",
            "entry 2: needs secrets",
        ),
        (
            "auth = [{ type = \"bearer\", secrets = [\"a bearer token\"] }]",
            "secrets",
            "has no { type = \"signature\" }",
        ),
        (
            "auth = [{ secrets = [\"a bearer token\"] }]",
            "auth",
            "uses those of the hook",
        ),
        (
            "auth = [{}, { type = \"header\", secrets = [\"long enough\"] }]",
            "auth",
            "needs header",
        ),
        (
            "auth = [{ header = \"X-A\" }]",
            "auth",
            "type = \"header\" alone",
        ),
        (
            "auth = [{ behind_proxy = true }]",
            "auth",
            "type = \"none\" alone",
        ),
        (
            "auth = [{}, { type = \"basic\", secrets = [\"no password\"] }]",
            "auth",
            "user:password",
        ),
        (
            "auth = [{}, { type = \"query\", secrets = [\"long enough\"] }]",
            "auth",
            "entry 2: needs parameter",
        ),
        (
            "auth = [{}, { type = \"query\", parameter = \"a=b\", secrets = [\"long enough\"] }]",
            "auth",
            "parameter must be a name",
        ),
        (
            "auth = [{ parameter = \"token\" }]",
            "auth",
            "type = \"query\" alone",
        ),
        (
            "auth = [{}, { type = \"member\", member = \"key\", secrets = [\"long enough\"] }]",
            "auth",
            "only one of them can decide",
        ),
        ("auth = [{}, { type = \"none\" }]", "auth", "meaningless"),
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
    let url = "[hook.a]\nscheme = \"twilio\"\nsecrets = [\"a long secret\"]\npublic_url = \"https://example.com/a?b=c\"";
    refused(&[(url, "hook.a.public_url", "without a query")]);
    let open = "server.listen = \"0.0.0.0:4000\"\nserver.allow_unauthenticated = true\n[hook.a]\nauth = [{ type = \"none\" }]";
    refused(&[(open, "hook.a.auth", "loopback")]);
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

#[test]
fn hooks_may_be_authenticated_in_several_ways() {
    taken(&[
        "[hook.a]\nscheme = \"gitlab\"\nsecrets = [\"a long secret\"]",
        "[hook.a]\nauth = [{ type = \"header\", header = \"X-Token\", secrets = [\"a long secret\"] }]",
        "[hook.a]\nauth = [{ type = \"basic\", secrets = [\"writekey:\"] }, { type = \"bearer\", secrets = [\"a long secret\"] }]",
        "[hook.a]\nscheme = \"github\"\nsecrets = [\"a long secret\"]\nauth = [{ type = \"signature\" }, { type = \"bearer\", secrets = [\"a long secret\"] }]",
        "[hook.a]\nscheme = \"hmac\"\nheader = \"X-S\"\nseparator = \",\"\ntime_prefix = \"t=\"\nprefix = \"v1=\"\nsigned = \"{timestamp}.{body}\"\nsecrets = [\"a long secret\"]",
        "[hook.a]\nscheme = \"square\"\nsecrets = [\"a long secret\"]\npublic_url = \"https://example.com/webhook/a\"",
    ]);
    for text in [
        "[hook.a]\nauth = [{ type = \"none\" }]",
        "server.listen = \"0.0.0.0:4000\"\nserver.allow_unauthenticated = true\n[hook.a]\nauth = [{ type = \"none\", behind_proxy = true }]",
    ] {
        let loaded = load(text, &[]).unwrap();
        let said = loaded.warnings.join("\n");
        assert!(said.contains("hook.a takes whatever"), "{said}");
    }
}

#[test]
fn what_makes_no_scheme_is_refused() {
    for (settings, key, words) in [
        ("", "header", "must name the header"),
        (
            "header = \"X-S\"\nsigned = \"{timestamp}.{body}\"",
            "time_header",
            "{timestamp} is signed",
        ),
        (
            "header = \"X-S\"\nsigned = \"{id}{body}\"",
            "id_header",
            "{id} is signed",
        ),
        (
            "header = \"X-S\"\ntime_header = \"X-T\"",
            "time_header",
            "has no {timestamp}",
        ),
        (
            "header = \"X-S\"\nsigned = \"{bdy}\"",
            "signed",
            "there is no part {bdy}",
        ),
        (
            "header = \"X-S\"\nsigned = \"{method}\"",
            "signed",
            "nothing about the content",
        ),
        (
            "header = \"X-S\"\nsigned = \"{url}{body}\"",
            "public_url",
            "must be the URL",
        ),
        ("header = \"X S\"", "header", "name of a header"),
        (
            "header = \"X-S\"\nmember = \"/s\"",
            "header",
            "or `member` the member",
        ),
        ("member = \"/s\"", "signed", "{member:/a/b} if"),
        (
            "header = \"X-S\"\nsigned = \"{member:/a}\"",
            "signed",
            "otherwise it must have none",
        ),
        (
            "header = \"X-S\"\nsigned = \"{body}{member:/a}\"",
            "signed",
            "no {member:/a/b} beside it",
        ),
        (
            "member = \"/s\"\nsigned = \"{member:a}\"",
            "signed",
            "there is no part {member:a}",
        ),
        (
            "member = \"s\"\nsigned = \"{member:/a}\"",
            "member",
            "must be a JSON Pointer",
        ),
        (
            "header = \"X-S\"\nkey_encoding = \"hex\"",
            "secrets",
            "hexadecimal digits",
        ),
        (
            "header = \"X-S\"\nalgorithm = \"ed25519\"",
            "secrets",
            "Ed25519 public key",
        ),
    ] {
        let text =
            format!("[hook.a]\nscheme = \"hmac\"\nsecrets = [\"a long secret\"]\n{settings}");
        let error = error(&text);
        assert!(error.contains(&format!("hook.a.{key}")), "{text}: {error}");
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn tokens_need_keys_and_must_be_for_this_path() {
    let dir = tempfile::tempdir().unwrap();
    let set = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}]}"#;
    std::fs::write(dir.path().join("keys"), set).unwrap();
    std::fs::write(dir.path().join("none"), "{\"keys\":[]}").unwrap();
    let hook = |settings: &str| format!("[hook.a]\nauth = [{{ type = \"jwt\", {settings} }}]");
    for good in [
        "keys_file = \"keys\", claims = { aud = \"us\" }",
        "keys_file = \"keys\", body_hash = \"hash\", header = \"X-Jwt\"",
        "keys_file = \"keys\", in_body = true",
        "secrets = [\"a long secret\"]",
    ] {
        let loaded = load_from(dir.path(), &hook(good), &[]).unwrap();
        let said = loaded.config.hook["a"].summary("a");
        assert!(said.contains("token") && said.contains("(1 key)"), "{said}");
    }
    for (settings, words) in [
        ("header = \"X-Jwt\"", "needs keys_file"),
        ("keys_file = \"keys\"", "needs claims"),
        (
            "keys_file = \"keys\", in_body = true, secrets = [\"a long secret\"]",
            "only one of them",
        ),
        (
            "keys_file = \"none\", in_body = true",
            "it has no key for RS256",
        ),
        ("keys_file = \"nowhere\", in_body = true", "cannot be read"),
        ("secrets = [\"short\"]", "too short"),
        (
            "secrets = [\"a long secret\"], in_body = true, header = \"X-Jwt\"",
            "mean nothing then",
        ),
        (
            "secrets = [\"a long secret\"], header = \"X Jwt\"",
            "header must be a name",
        ),
        (
            "secrets = [\"a long secret\"] }, { type = \"bearer\", secrets = [\"a long secret\"], claims = { a = \"b\" }",
            "type = \"jwt\" alone",
        ),
        (
            "secrets = [\"a long secret\"] }, { type = \"member\", member = \"key\", secrets = [\"a long secret\"]",
            "can decide about a body",
        ),
    ] {
        let error = load_from(dir.path(), &hook(settings), &[]).unwrap_err();
        assert!(error.contains(words), "{settings}: {error}");
    }
}

#[test]
fn topics_are_listed_where_amazon_signs() {
    const TOPIC: &str = "topics = [\"arn:aws:sns:eu-west-1:123456789012:sales\"]";
    let sns = |settings: &str| format!("[hook.a]\nscheme = \"sns\"\n{settings}");
    let basic = "auth = [{ type = \"basic\", secrets = [\"user:a password\"] }]";
    taken(&[
        &sns(&format!("{TOPIC}\nconfirm = true")),
        &sns(
            "topics = [\"arn:aws-cn:sns:cn-north-1:123456789012:a\", \"arn:aws-us-gov:sns:us-gov-west-1:123456789012:b_c\"]",
        ),
        &sns(basic),
    ]);
    let none = error(&sns(""));
    assert!(
        none.contains("hook.a.topics (not set): must list"),
        "{none}"
    );
    for (settings, key, words) in [
        (
            "topics = [\"sales\"]".to_owned(),
            "topics",
            "must be the ARN",
        ),
        (
            "topics = [\"arn:aws:sqs:eu-west-1:123456789012:sales\"]".to_owned(),
            "topics",
            "must be the ARN",
        ),
        (
            "topics = [\"arn:aws:sns:eu-west-1:123456789012:*\"]".to_owned(),
            "topics",
            "must be the ARN",
        ),
        (
            format!("{TOPIC}\nsecrets = [\"a long secret\"]"),
            "secrets",
            "certificate of its own",
        ),
        (
            format!("{TOPIC}\n{basic}"),
            "topics",
            "scheme = \"sns\" alone",
        ),
        (
            format!("confirm = true\n{basic}"),
            "confirm",
            "scheme = \"sns\" alone",
        ),
        (
            format!(
                "{TOPIC}\nconfirm = true\nauth = [{{}}, {{ type = \"bearer\", secrets = [\"a long secret\"] }}]"
            ),
            "confirm",
            "only a message that Amazon has signed",
        ),
    ] {
        let (text, key) = (sns(&settings), format!("hook.a.{key}"));
        refused(&[(&text, &key, words)]);
    }
    let text = hook(TOPIC);
    refused(&[(&text, "hook.github.topics", "scheme = \"sns\" alone")]);
}
