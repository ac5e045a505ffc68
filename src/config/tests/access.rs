//! The rules of who may reach the server: addresses, tokens and web pages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::load_from;
use super::rules::{refused, taken};
use crate::secret::Secret;

const TOKEN: &str = "server.tokens = [\"0123456789abcdef\"]\n";

#[test]
fn addresses_and_tokens() {
    refused(&[
        (
            "server.listen = \"0.0.0.0:4000\"",
            "server.listen",
            "allow_unauthenticated = true",
        ),
        (
            "server.listen = \"[::]:4000\"",
            "server.listen",
            "server.tokens",
        ),
        (
            "server.metrics_listen = \"127.0.0.1:4000\"",
            "server.metrics_listen",
            "must differ from",
        ),
        (
            "server.tls_cert_file = \"cert.pem\"",
            "server.tls_cert_file",
            "both a certificate and its key",
        ),
        (
            "server.listen = \"0.0.0.0:4000\"\nserver.tls_cert_file = \"c\"\nserver.tls_key_file = \"k\"",
            "server.listen",
            "allow_unauthenticated = true",
        ),
        (
            "server.tokens = [\"0123456789abcde\"]",
            "server.tokens",
            "token 1 of the list must have",
        ),
        (
            "server.tokens = [\"0123456789 abcdef\"]",
            "server.tokens",
            "no whitespace",
        ),
        (
            "server.tokens = [\"0123456789abcdé-\"]",
            "server.tokens",
            "visible ASCII",
        ),
    ]);
    taken(&[
        &format!("{TOKEN}server.listen = \"0.0.0.0:4000\""),
        "server.listen = \"0.0.0.0:4000\"\nserver.allow_unauthenticated = true",
        "server.listen = \"[::1]:4000\"",
        "server.listen = \"[::ffff:127.0.0.1]:4000\"",
        "server.listen = \"127.0.0.1:0\"\nserver.metrics_listen = \"127.0.0.1:0\"",
        "server.metrics_listen = \"0.0.0.0:9000\"",
    ]);
}

#[test]
fn origins() {
    for origin in [
        "*",
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://*.example.com",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "https://me@app.example.com",
        "https://app.example.com:",
        "https://app.example.com:99999",
        "://x",
        "null",
    ] {
        let text = format!("server.cors_origins = [\"https://a.example\", \"{origin}\"]");
        refused(&[(&text, "server.cors_origins", "entry 2 must be an origin")]);
    }
    taken(&["server.cors_origins = [\"https://app.example.com\", \"http://[::1]:3000\"]"]);
}

#[test]
fn a_file_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let listen = "server.listen = \"0.0.0.0:4000\"\nserver.tokens_file = \"tokens\"\n";
    let write = |text: &str, mode: u32| {
        let path = dir.path().join("tokens");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = "lakehook.toml: server.tokens_file (line 2)";
    let error = |dir: &Path| load_from(dir, listen, &[]).unwrap_err();

    let missing = error(dir.path());
    assert!(missing.starts_with("there is 1 error"), "{missing}");
    assert!(missing.contains("tokens cannot be read: "), "{missing}");
    write("# none\n\n", 0o600);
    let empty = error(dir.path());
    assert!(empty.starts_with("there is 1 error"), "{empty}");
    assert!(empty.contains("holds no token"), "{empty}");
    write("0123456789abcdef\n# x\nshort-secret\n", 0o600);
    let short = error(dir.path());
    assert!(
        short.contains("tokens, line 3: the token must have"),
        "{short}"
    );
    assert!(
        short.contains(key) && !short.contains("short-secret"),
        "{short}"
    );
    write(&"x".repeat((1 << 20) + 1), 0o600);
    assert!(error(dir.path()).contains("larger than 1 MiB"));

    let text = format!("{TOKEN}{listen}");
    write("  a-token-of-the-file\r\n", 0o640);
    let loaded = load_from(dir.path(), &text, &[]).unwrap();
    let tokens: Vec<&str> = loaded
        .config
        .server
        .tokens
        .iter()
        .map(Secret::expose)
        .collect();
    assert_eq!(tokens, ["0123456789abcdef", "a-token-of-the-file"]);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].contains("chmod 600"),
        "{:?}",
        loaded.warnings
    );
    write("a-token-of-the-file", 0o600);
    let loaded = load_from(dir.path(), &text, &[]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
}
