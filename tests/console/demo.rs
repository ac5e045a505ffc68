//! The demo, seen on the console: what README shows of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::browser::keep;
use crate::support::browser::{Browser, Look};
use crate::support::process::Setup;

/// As wide as README shows them, and no higher than they must be.
const LOOK: Look = Look {
    width: 1100,
    height: 640,
    is_dark: false,
};
/// The pictures of README are small, so that the page is there at once.
const MOST_BYTES: u64 = 150_000;

#[test]
fn the_demo_is_seen_while_it_runs() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let setup = Setup::new("");
    let mut demo = setup
        .command(&["demo", "--duration", "45s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let console = lines.find_map(|line| {
        let line = line.unwrap();
        let (url, _) = line.strip_prefix("console")?.trim().split_once(": ")?;
        Some(url.to_owned())
    });
    let console = console.unwrap();
    browser.look(LOOK);
    browser.open(&console);
    browser.wait_until("Number(document.querySelector('[data-live=accepted]').textContent) > 200");
    std::thread::sleep(Duration::from_secs(10));
    keep("demo-overview", &browser.picture());
    browser.follow("nav a[href=\"/quarantine\"]");
    // Rows get there with their object, some seconds after they came in.
    for _ in 0..40 {
        if browser.text().contains("by what is wrong") {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        browser.open(&format!("{}/quarantine", console.trim_end_matches('/')));
    }
    assert!(
        browser.text().contains("by what is wrong"),
        "{}",
        browser.text()
    );
    keep("demo-quarantine", &browser.picture());
    browser.follow("nav a[href=\"/live\"]");
    browser.wait_until("document.querySelectorAll('[data-live-rows] tr').length > 3");
    browser.follow("[data-live-rows] a");
    let found = browser.evaluate("location.href");
    // Its batch is open for some seconds.
    for _ in 0..40 {
        browser.open(found.as_str().unwrap());
        browser.wait_until("!document.querySelector('meta[http-equiv]')");
        if browser.text().contains("In the lake") {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(browser.text().contains("In the lake"), "{}", browser.text());
    keep("demo-find", &browser.picture());
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert!(demo.wait().unwrap().success());
    assert!(lines.any(|line| line.unwrap().contains("It adds up")));
}

#[test]
fn the_pictures_of_the_readme_are_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let named: Vec<&str> = readme
        .match_indices("docs/console-")
        .map(|(at, _)| readme[at..].split(')').next().unwrap())
        .collect();
    assert_eq!(named.len(), 3, "{named:?}");
    for path in named {
        let png = std::fs::read(root.join(path)).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{path}");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(width, LOOK.width, "{path}");
        assert!(
            (png.len() as u64) < MOST_BYTES,
            "{path} has {} bytes",
            png.len()
        );
    }
}
