//! The views in a real browser: clicked through at two widths, light and dark, with and without scripts.

use super::{Stage, VIEWS};
use crate::http::{body, click, post};
use crate::support::browser::{Browser, Look};

const LOOKS: [Look; 4] = [
    Look {
        width: 1280,
        height: 900,
        is_dark: false,
    },
    Look {
        width: 1280,
        height: 900,
        is_dark: true,
    },
    Look {
        width: 360,
        height: 740,
        is_dark: false,
    },
    Look {
        width: 360,
        height: 740,
        is_dark: true,
    },
];

/// A service with something on every view.
const FULL: &str = "console_show_values = true\n[batch]\nmax_age = \"1s\"\n[events]\non_invalid = \"quarantine\"\n\
                    [hook.github]\nscheme = \"github\"\nsecrets = [\"0123456789abcdef\"]\n\
                    [poll.users]\nurl = \"http://127.0.0.1:9/users\"\nevery = \"15m\"\nbudget = \"2s\"\n[polls]\nmax_bytes = \"64 MiB\"";

/// Sends ten thousand events, some of which break the contract, and waits until they are in the lake.
fn fill(stage: &Stage) {
    for part in 0..10_u64 {
        let events = (part * 1_000..(part + 1) * 1_000).map(|number| match number % 97 {
            0 => crate::http::event(number, "purchase", r#"{"amount":"9.5","product_id":"p-1"}"#),
            1 => crate::http::event(number, "signup", "{}"),
            2 => crate::http::event(number, "buy", "{}"),
            3 => crate::http::event(number - 1, "click", r#"{"again":true}"#),
            _ => crate::http::event(number, "purchase", r#"{"amount":9.5,"product_id":"p-1"}"#),
        });
        let answer = post(&stage.setup, body(&events.collect::<Vec<_>>()));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    stage.page_until("/", |page| page.contains("data-live=\"rows\">0<"));
    stage.whole_page("/lake");
}

#[test]
fn every_view_is_reached_by_clicks_fits_its_window_and_complains_of_nothing() {
    let stage = Stage::new(FULL);
    let _program = stage.setup.start();
    fill(&stage);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    for look in LOOKS {
        browser.look(look);
        browser.open(&stage.url("/"));
        for path in VIEWS {
            browser.follow(&format!("nav a[href=\"{path}\"]"));
            browser.wait_until("!document.querySelector('meta[http-equiv]')");
            let wide = browser.evaluate("document.documentElement.scrollWidth");
            assert_eq!(wide, look.width, "{path} is wider than its window");
            let current = browser
                .evaluate("document.querySelector('nav [aria-current]').getAttribute('href')");
            assert_eq!(current, *path);
            let name = format!(
                "{}-{}-{}",
                path.trim_start_matches('/'),
                look.width,
                if look.is_dark { "dark" } else { "light" }
            );
            keep(&name, &browser.picture());
        }
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn figures_move_while_one_looks_and_pages_work_without_scripts() {
    let stage = Stage::new("");
    let _program = stage.setup.start();
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.look(LOOKS[0]);
    browser.open(&stage.url("/"));
    post(&stage.setup, body(&[click(1), click(2)]));
    browser.wait_until("document.querySelector('[data-live=accepted]').textContent === '2'");
    browser.wait_until(
        "document.querySelector('[data-live=accepted-share]').textContent.startsWith('100')",
    );
    browser.wait_until(
        "document.querySelector('[data-live-bar=accepted]').getAttribute('width') === '100.00'",
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.allow_scripts(false);
    browser.open(&stage.url("/sources"));
    let without = stage.page("/sources");
    assert!(without.contains("2 stored"), "{without}");
}

#[test]
fn events_come_in_while_one_looks_and_lead_to_what_became_of_them() {
    let stage = Stage::new("console_show_values = true\n[events]\ncontract = \"open\"");
    let _program = stage.setup.start();
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.look(LOOKS[0]);
    browser.open(&stage.url("/live?source=web"));
    let send = |source: &str| {
        let event = serde_json::json!({
            "event_id": crate::http::id(7), "type": ATTACK, "source": source, "properties": {ATTACK: ATTACK}
        });
        let answer = post(&stage.setup, event.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let rows = "document.querySelectorAll('[data-live-rows] tr').length";
    // Those who look are known to the service a moment after the page is loaded.
    while browser.evaluate(rows) == 0 {
        send("apple");
        send("web");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let text = browser.text();
    assert!(
        text.contains("<img data-xss") && !text.contains("apple"),
        "{text}"
    );
    assert_eq!(
        browser.evaluate("document.querySelectorAll('[data-xss]').length"),
        0
    );
    browser.click("[data-pause]");
    assert_eq!(
        browser.evaluate("document.querySelector('[data-pause]').textContent"),
        "Go on"
    );
    browser.follow("[data-live-rows] a");
    browser.wait_until("document.body.innerText.includes('received at')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// What would show if a page took it for markup: an element, and a script.
const ATTACK: &str = "\"'><img data-xss src=x onerror=alert(1)><script data-xss>alert(1)</script>";

/// Two events that break the contract, with the attack in every field that a sender chooses.
fn attacks() -> String {
    let time = lakehook::clock::Clock::system().now().wall.to_string();
    let valid = serde_json::json!({
        "event_id": crate::http::id(1), "user_id": ATTACK, "event_type": "click", "source": "web",
        "timestamp": time, "properties": {"plain": ATTACK}
    });
    let mut names = valid.clone();
    names[ATTACK] = serde_json::json!(ATTACK);
    names["event_id"] = serde_json::json!(ATTACK);
    names["properties"] = serde_json::json!({ATTACK: {ATTACK: [ATTACK]}});
    let mut words = valid.clone();
    for name in ["event_type", "source", "timestamp"] {
        words[name] = serde_json::json!(ATTACK);
    }
    serde_json::json!({"events": [valid, names, words]}).to_string()
}

#[test]
fn nothing_that_a_sender_sent_becomes_part_of_a_page() {
    let stage = Stage::new(
        "console_show_values = true\n[batch]\nmax_age = \"1s\"\n[events]\non_invalid = \"quarantine\"",
    );
    let _program = stage.setup.start();
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "\"'><img/data-xss/src=x/onerror=alert(1)>"),
        ("user-agent", ATTACK),
        ("forwarded", "for=\"<img data-xss>\""),
    ];
    let mut connection =
        crate::support::http::Connection::open(stage.setup.address(), super::LIMIT * 50).unwrap();
    let path = crate::http::PATH;
    let answer = connection
        .request("POST", path, &headers, attacks().as_bytes())
        .unwrap();
    assert_eq!(answer.json()["quarantined"], 2, "{}", answer.text());
    stage.page_until("/quarantine", |page| page.contains("2\u{a0}rows, by"));
    browser.look(LOOKS[0]);
    let mut seen = std::collections::BTreeSet::new();
    let mut left: Vec<String> = VIEWS.iter().map(|path| stage.url(path)).collect();
    let attack: String = form_urlencoded::byte_serialize(ATTACK.as_bytes()).collect();
    left.extend([
        stage.url(&format!("/find?q={attack}")),
        stage.url(&format!("/live?text={attack}")),
    ]);
    // Every page that a link leads to.
    while let Some(url) = left.pop() {
        if url.contains("/rows.") || !seen.insert(url.clone()) {
            continue;
        }
        browser.open(&url);
        browser.wait_until("!document.querySelector('meta[http-equiv]')");
        let marked = browser.evaluate("document.querySelectorAll('[data-xss]').length");
        assert_eq!(marked, 0, "{url}: {}", browser.text());
        let links =
            browser.evaluate("[...document.querySelectorAll('main a[href]')].map((a) => a.href)");
        let links = links
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|link| link.as_str());
        left.extend(
            links
                .filter(|link| link.starts_with(&stage.url("/")))
                .map(str::to_owned),
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let rows = seen
        .iter()
        .filter(|url| url.contains("/quarantine/row?"))
        .count();
    assert_eq!(rows, 2, "{seen:?}");
    assert!(browser.text().contains("lakehook"));
    // The attack was there to see, as text.
    let row = seen
        .iter()
        .find(|url| url.contains("/quarantine/row?"))
        .unwrap();
    browser.open(row);
    assert!(browser.text().contains("<img"), "{}", browser.text());
}

#[test]
fn there_is_no_way_around_escaping() {
    let mut left = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console")];
    let mut files = 0;
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for way in ["PreEscaped", "innerHTML"] {
                    assert!(!text.contains(way), "{way} in {}", path.display());
                }
                files += 1;
            } else if path.extension().is_some_and(|end| end == "js") {
                let text = std::fs::read_to_string(&path).unwrap();
                for way in [
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacentHTML",
                    "document.write",
                    "eval(",
                ] {
                    assert!(!text.contains(way), "{way} in {}", path.display());
                }
            }
        }
    }
    assert!(files > 10);
}

/// Keeps a picture to look at, if somebody asks for it.
pub(super) fn keep(name: &str, png: &[u8]) {
    if let Some(dir) = std::env::var_os("LAKEHOOK_PICTURES") {
        std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), png).unwrap();
    }
}
