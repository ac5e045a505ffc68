//! Alerts and the dashboard: promtool takes them and plays them, each row of docs/operations.md has an alert, and every
//! metric that is named anywhere is one that the program has.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::{parsed, repository, said, text_of};
use crate::support::http::get;
use crate::support::needs::Need;
use crate::support::process::Setup;

const RULES: &str = "deploy/prometheus-rules.yml";
const TESTS: &str = "deploy/prometheus-tests.yml";
const DASHBOARD: &str = "deploy/grafana-dashboard.json";
/// What the histogram of each name consists of.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn promtool(arguments: &[&str]) -> Option<Output> {
    let inside = repository().join(".venv/bin/promtool");
    let program = if inside.exists() {
        inside
    } else {
        PathBuf::from("promtool")
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(repository())
        .output();
    output.ok()
}

fn rules() -> Vec<Value> {
    let rules = parsed(&repository().join(RULES));
    rules[0]["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The names of metrics in a text: words that begin as ours do, or as those of every process do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| {
        let ours = word
            .strip_prefix("lakehook_")
            .is_some_and(|rest| !rest.is_empty());
        ours || word.starts_with("process_")
    });
    names.map(str::to_owned).collect()
}

/// The metrics of docs/metrics.md: those in the first column, with the prefix that all but those of the process have;
/// and which of them are histograms.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut histograms) = (BTreeSet::new(), BTreeSet::new());
    for line in text_of("docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let mut columns = line.split(" | ");
        let first = columns.next().unwrap();
        let meaning = columns.next().unwrap();
        for name in first.split('`').skip(1).step_by(2) {
            let name = name.split('{').next().unwrap();
            let name = if name.starts_with("process_") {
                name.to_owned()
            } else {
                format!("lakehook_{name}")
            };
            if meaning.starts_with("histogram") {
                histograms.insert(name.clone());
            }
            all.insert(name);
        }
    }
    assert!(all.len() > 50, "{all:?}");
    (all, histograms)
}

#[test]
fn promtool_takes_the_alerts_and_plays_them() {
    let Some(checked) = promtool(&["check", "rules", RULES]) else {
        return Need::Promtool.skip("promtool is not installed");
    };
    assert!(checked.status.success(), "{}", said(&checked));
    let played = promtool(&["test", "rules", TESTS]).unwrap();
    assert!(played.status.success(), "{}", said(&played));
    // The tests notice a rule that never fires.
    let dir = tempfile::tempdir().unwrap();
    let broken = text_of(RULES).replace("lakehook_batches_held > 0", "lakehook_batches_held > 1");
    std::fs::write(dir.path().join("prometheus-rules.yml"), broken).unwrap();
    std::fs::write(dir.path().join("tests.yml"), text_of(TESTS)).unwrap();
    let played = promtool(&[
        "test",
        "rules",
        dir.path().join("tests.yml").to_str().unwrap(),
    ])
    .unwrap();
    assert!(
        said(&played).contains("LakehookBatchHeld fires"),
        "{}",
        said(&played)
    );
}

#[test]
fn each_alert_is_tried_with_what_it_fires_for_and_what_it_does_not() {
    let tests = parsed(&repository().join(TESTS));
    let (mut fired, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for test in tests[0]["tests"].as_array().unwrap() {
        for alert in test["alert_rule_test"].as_array().unwrap() {
            let name = alert["alertname"].as_str().unwrap().to_owned();
            let expected = alert["exp_alerts"].as_array().unwrap();
            let list = if expected.is_empty() {
                &mut silent
            } else {
                &mut fired
            };
            list.insert(name);
        }
    }
    let alerts: BTreeSet<String> = rules()
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((&fired, &silent), (&alerts, &alerts));
}

#[test]
fn each_row_of_what_to_watch_has_an_alert() {
    let exprs: String = rules()
        .iter()
        .map(|rule| rule["expr"].to_string())
        .collect();
    let alerted = metrics_in(&exprs);
    let text = text_of("docs/operations.md");
    let (_, table) = text.split_once("| metric | alert when |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(rows.len() >= 18, "{table}");
    for row in rows {
        let name = row.split('`').nth(1).unwrap().split('{').next().unwrap();
        let is_it = |metric: &String| {
            let bare = metric.strip_prefix("lakehook_").unwrap_or(metric);
            bare == name
                || PARTS
                    .iter()
                    .any(|part| bare.strip_suffix(part) == Some(name))
        };
        assert!(alerted.iter().any(is_it), "no alert has {name}");
    }
    // And the other way round: what an alert is about is on the page.
    for rule in rules() {
        let expr = rule["expr"].to_string();
        let on_the_page = metrics_in(&expr).iter().any(|metric| {
            let bare = metric.strip_prefix("lakehook_").unwrap_or(metric);
            let bare = PARTS
                .iter()
                .find_map(|part| bare.strip_suffix(part))
                .unwrap_or(bare);
            table.contains(bare)
        });
        assert!(
            on_the_page || rule["alert"] == "LakehookDown",
            "{}",
            rule["alert"]
        );
    }
}

#[test]
fn every_metric_that_is_named_is_one_that_the_program_has() {
    let (documented, histograms) = documented();
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[hook.github]\nscheme = \"github\"\nsecrets = [\"It is a secret of tests\"]\n\
         [poll.users]\nurl = \"http://127.0.0.1:9/users\"\nid = \"id\"\ncron = \"0 6 * * *\"\n",
    );
    let program = setup.start();
    // Answers fill the first histogram.
    assert_eq!(get(setup.address(), "/health").unwrap().status, 200);
    let page = get(setup.address(), "/metrics").unwrap().text();
    assert!(program.stop(Duration::from_secs(30)).success());
    let shown: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let undocumented: Vec<_> = shown.difference(&documented).collect();
    assert!(
        undocumented.is_empty(),
        "not in docs/metrics.md: {undocumented:?}"
    );
    // A histogram is not shown before its first sample.
    let missing: Vec<_> = documented
        .difference(&shown)
        .filter(|name| !histograms.contains(*name))
        .collect();
    assert!(missing.is_empty(), "not in /metrics: {missing:?}\n{page}");
    for line in [
        "lakehook_ready 1",
        "lakehook_poll_interval_seconds{poll=\"users\"} 86400",
        "lakehook_dedup_window_needed_seconds 345600",
    ] {
        assert!(
            page.lines().any(|shown| shown == line),
            "{line} is missing in\n{page}"
        );
    }

    for file in [RULES, TESTS, DASHBOARD] {
        for name in metrics_in(&text_of(file)) {
            let whole = PARTS
                .iter()
                .filter_map(|part| name.strip_suffix(part))
                .find(|whole| histograms.contains(*whole));
            assert!(
                documented.contains(whole.unwrap_or(&name)),
                "{file} names {name}"
            );
        }
    }
}

#[test]
fn the_dashboard_asks_what_prometheus_can_read() {
    let dashboard: Value = serde_json::from_str(&text_of(DASHBOARD)).unwrap();
    let mut asked = BTreeSet::new();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    let mut rules = vec!["groups:\n- name: dashboard\n  rules:\n".to_owned()];
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = &panel["gridPos"];
        assert!(
            places.insert((place["y"].as_u64(), place["x"].as_u64())),
            "{panel}"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            asked.extend(metrics_in(expr));
            let expr = expr
                .replace("$__rate_interval", "5m")
                .replace("$job", "a")
                .replace("$instance", "b");
            let expr = serde_json::to_string(&expr).unwrap();
            let number = "a".repeat(rules.len());
            rules.push(format!(
                "  - record: dashboard:{number}\n    expr: {expr}\n"
            ));
        }
    }
    assert!(asked.len() > 40, "{asked:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dashboard.yml");
    std::fs::write(&file, rules.concat()).unwrap();
    let Some(checked) = promtool(&["check", "rules", file.to_str().unwrap()]) else {
        return Need::Promtool.skip("promtool is not installed");
    };
    assert!(checked.status.success(), "{}", said(&checked));
}
