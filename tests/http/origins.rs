//! Browsers: which pages may send, by the headers that browsers set, and by a real browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::signed::SECRET;
use super::{PATH, connect, problem, request};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::needs::Need;
use crate::support::process::Setup;

/// How long a page may take to do its work.
const PATIENCE: Duration = Duration::from_secs(90);

fn setup(origin: &str) -> Setup {
    Setup::new(&format!(
        "[server]\ncors_origins = [\"{origin}\"]\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson.gz\"\n[events]\ncontract = \"open\"\n\
         [hook.site]\nscheme = \"segment\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n"
    ))
}

#[test]
fn a_page_of_another_origin_is_refused_on_every_path_before_its_body_is_read() {
    let setup = setup("https://app.example.com");
    let _program = setup.start();
    let text = ("content-type", "text/plain");
    let foreign = [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ];
    for header in foreign {
        for path in [PATH, "/v1/track", "/webhook/open", "/nowhere"] {
            let answer = connect(&setup)
                .request("POST", path, &[text, header], b"{}")
                .unwrap();
            assert_eq!(answer.status, 403, "{path} {header:?}");
            assert!(problem(&answer).contains("foreign-origin"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        assert_eq!(request(&setup, "GET", "/metrics", &[header]).status, 403);
        assert_eq!(request(&setup, "OPTIONS", PATH, &[header]).status, 403);
    }
    // A large body is not waited for.
    let mut connection = connect(&setup);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\norigin: null\r\ncontent-type: text/plain\r\ncontent-length: 900000\r\n\r\n"
    );
    connection.send_raw(head.as_bytes()).unwrap();
    let answer = connection.read_answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (403, Some("close"))
    );
    for header in [
        ("origin", "https://app.example.com"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "cors"),
    ] {
        let answer = connect(&setup)
            .request("POST", PATH, &[text, header], b"{}")
            .unwrap();
        assert_eq!(
            answer.json()["accepted"],
            1,
            "{header:?}: {}",
            answer.text()
        );
    }
    let asked = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
    ];
    let preflight = request(&setup, "OPTIONS", "/v1/track", &asked);
    assert_eq!(
        preflight.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
}

#[test]
fn where_nobody_is_authenticated_a_request_names_this_machine() {
    let setup = setup("https://app.example.com");
    let _program = setup.start();
    let send = |path: &str, host: &str| {
        let mut connection = connect(&setup);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        connection.send_raw(head.as_bytes()).unwrap();
        connection.read_answer(false).unwrap()
    };
    for path in [PATH, "/webhook/open"] {
        for host in ["rebound.example.com", "rebound.example.com:4000"] {
            let answer = send(path, host);
            assert!(
                answer.status == 403 && problem(&answer).contains("foreign-host"),
                "{path}"
            );
        }
        for host in ["localhost", "localhost:4000", "127.0.0.1", "[::1]:1"] {
            assert_eq!(send(path, host).status, 200, "{path} {host}");
        }
    }
    // A secret is not known to a page, and a proxy in front knows what it lets through.
    assert_eq!(send("/v1/track", "hooks.example.com").status, 401);
    let proxied = Setup::new(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[events]\ncontract = \"open\"\n",
    );
    let _program = proxied.start();
    let answer = connect(&proxied)
        .request("POST", PATH, &[("content-type", "application/json")], b"{}")
        .unwrap();
    assert_eq!(answer.status, 200);
}

/// What the page does: each way in which browsers send, and then it says what it has seen.
const SCRIPT: &str = r#"
const url = "LAKEHOOK", key = "SECRET";
async function send() {
  const seen = {};
  const attempt = async (name, options) => {
    try { seen[name] = (await fetch(url + "/webhook/events", {method: "POST", ...options})).status; }
    catch (error) { seen[name] = "failed"; }
  };
  const json = {"content-type": "application/json"};
  await attempt("fetch", {headers: json, body: JSON.stringify({event_type: "fetch"})});
  await attempt("keyed", {headers: {...json, "idempotency-key": "k1"}, body: JSON.stringify({event_type: "keyed"})});
  await attempt("included", {headers: json, credentials: "include", body: JSON.stringify({event_type: "included"})});
  await attempt("blind", {mode: "no-cors", body: JSON.stringify({event_type: "blind"})});
  navigator.sendBeacon(url + "/webhook/events", JSON.stringify({event_type: "beacon"}));
  navigator.sendBeacon(url + "/webhook/events", new Blob([JSON.stringify({event_type: "blob"})], {type: "application/json"}));
  navigator.sendBeacon(url + "/v1/track", JSON.stringify({event: "tracked", messageId: "m1", writeKey: key}));
  await new Promise((done) => setTimeout(done, 1500));
  await fetch("/done", {method: "POST", body: JSON.stringify(seen)});
}
send();
"#;

/// Shows a page of this host in a browser, and returns what it has seen; `None` if there is no browser.
fn browse(setup: &Setup, pages: &TcpListener, host: &str) -> Option<Value> {
    let url = format!("http://{host}:{}/", pages.local_addr().unwrap().port());
    let profile = tempfile::tempdir().unwrap();
    let child = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--remote-debugging-port=0")
        .arg(&url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        Need::Chromium.skip("chromium is not installed");
        return None;
    };
    let _browser = Browser(child);
    let page = SCRIPT
        .replace("LAKEHOOK", &format!("http://{}", setup.address()))
        .replace("SECRET", SECRET);
    let begin = Instant::now();
    pages.set_nonblocking(true).unwrap();
    loop {
        assert!(begin.elapsed() < PATIENCE, "the page has not done its work");
        match pages.accept() {
            Ok((stream, _)) => {
                if let Some(seen) = serve(stream, &page) {
                    return Some(seen);
                }
            }
            Err(_nobody) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Ends a browser when it is dropped.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Answers one request of the page's own server; returns what the page says at its end.
fn serve(stream: TcpStream, script: &str) -> Option<Value> {
    stream.set_nonblocking(false).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let page = format!("<!doctype html><title>page</title><script>{script}</script>");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    let _sent = reader.get_mut().write_all(answer.as_bytes());
    first
        .contains("/done")
        .then(|| serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_browser_sends_from_a_listed_page_and_from_no_other() {
    let pages = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = pages.local_addr().unwrap().port();
    let setup = setup(&format!("http://127.0.0.1:{port}"));
    let program = setup.start();
    let Some(seen) = browse(&setup, &pages, "127.0.0.1") else {
        return;
    };
    assert_eq!(
        seen,
        json!({"fetch": 200, "keyed": 200, "included": 200, "blind": 0})
    );
    let types = |setup: &Setup| {
        let rows = Lake::directory(&setup.directory().join("lake")).rows();
        let types = rows
            .iter()
            .map(|row| row["event_type"].as_str().unwrap().to_owned());
        let mut types: Vec<String> = types.collect();
        types.sort_unstable();
        types
    };
    // The same page under another name is another origin, and nothing of it is stored.
    let seen = browse(&setup, &pages, "localhost").unwrap();
    assert_eq!(
        seen,
        json!({"fetch": "failed", "keyed": "failed", "included": "failed", "blind": 0})
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let all = [
        "beacon", "blind", "blob", "fetch", "included", "keyed", "tracked",
    ];
    assert_eq!(types(&setup), all);
}
