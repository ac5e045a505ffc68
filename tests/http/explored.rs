//! Schemathesis reads the served description and generates valid and invalid requests from it: status, headers, media
//! type and body of every answer must be described, and none may be a 5xx.

use std::process::Command;

use super::{metric, setup};
use crate::support::process::Setup;
use crate::support::python;

/// The description does not contain the schemas of event types, nor the age limits of events: a request that is valid by
/// the description may be refused.
const NEVER: &str = "positive_data_acceptance";
/// Requests per operation, in addition to those that cover its keywords one by one.
const EXAMPLES: &str = "60";
/// With the hook of [`OPEN`].
const OPERATIONS: u32 = 12;

/// Accepts timestamps of these decades, so that generated events are accepted; configures hooks whose senders prove in
/// different ways who they are.
const WIDE: &str = "[hook.chat]\nscheme = \"slack\"\nsecrets = [\"secret-of-chat\"]\n\
                    [hook.own]\nscheme = \"hmac\"\nheader = \"X-Own\"\nsecrets = [\"secret-of-own\"]\n\
                    [hook.product]\nscheme = \"posthog\"\nsecrets = [\"secret-of-product\"]\n\
                    [hook.token]\nauth = [{ type = \"jwt\", secrets = [\"secret-of-token\"] }]\n\
                    [hook.notice]\nauth = [{ type = \"jwt\", in_body = true, secrets = [\"secret-of-notice\"] }]\n\
                    [events]\nmax_age = \"36500d\"\nmax_ahead = \"36500d\"\n";

/// A hook that asks for no credential: it stands before [`WIDE`].
const OPEN: &str = "[hook.open]\nauth = [{ type = \"none\" }]\n";

/// Explores with that seed and all checks but the excluded ones.
fn explore(setup: &Setup, seed: u32, operations: u32, excluded: &[&str]) {
    let python = python::repository().join(".venv-schemathesis/bin/python");
    assert!(
        python.exists(),
        "there is no {}: make setup",
        python.display()
    );
    // Requests during the start were answered 503.
    let before = answered(setup);
    let excluded = [&[NEVER], excluded].concat().join(",");
    let output = Command::new(python)
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(python::repository().join("tests/python/schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", setup.address())])
        .args(["--checks", "all", "--exclude-checks", &excluded])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
        ])
        .args(["--seed", &seed.to_string(), "--generation-database", "none"])
        // A loaded machine is slow, and that is no failure.
        .args(["--suppress-health-check", "all", "--request-timeout", "60"])
        .args(["--warnings", "off", "--no-color"])
        .current_dir(setup.directory())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let shown: String = text.chars().take(8000).collect();
    assert!(output.status.success(), "{shown}\n{output:?}");
    assert!(text.contains(&format!("Tested: {operations}")), "{shown}");
    let [good, refused, failed] = [0, 1, 2].map(|class| answered(setup)[class] - before[class]);
    assert!(good > 10.0 && refused > 100.0, "{good}, {refused}");
    assert_eq!(failed, 0.0);
}

/// How many answers there were of 2xx, 4xx and 5xx.
fn answered(setup: &Setup) -> [f64; 3] {
    ["2xx", "4xx", "5xx"].map(|class| {
        let name = "lakehook_http_request_duration_seconds_count";
        metric(setup, &format!("{name}{{status=\"{class}\"}}"))
    })
}

#[test]
fn an_open_webhook_is_as_it_is_described() {
    let setup = setup(&format!("{OPEN}{WIDE}"));
    let _program = setup.start();
    explore(&setup, 1, OPERATIONS, &[]);
    assert!(metric(&setup, "lakehook_events_accepted_total") > 0.0);
}

#[test]
fn a_webhook_with_a_quarantine_is_as_it_is_described() {
    let setup = setup(&format!("{OPEN}{WIDE}on_invalid = \"quarantine\"\n"));
    let _program = setup.start();
    // Events that break the contract are quarantined, and answered 200.
    explore(&setup, 2, OPERATIONS, &["negative_data_rejection"]);
    let kept = "lakehook_events_quarantined_total{reason=\"invalid_event\"}";
    assert!(metric(&setup, kept) > 0.0);
}

#[test]
fn a_guarded_webhook_is_as_it_is_described() {
    let setup = setup(&format!(
        "[server]\ntokens = [\"0123456789abcdef\"]\nrate_limit = 5\nrate_burst = 40\n{WIDE}\
         signing_secrets = [\"whsec_c2VjcmV0c2VjcmV0\"]\n"
    ));
    let _program = setup.start();
    // Without a credential the answer is 401, or 429 after too many attempts.
    explore(&setup, 3, OPERATIONS - 1, &["missing_required_header"]);
    assert_eq!(metric(&setup, "lakehook_events_accepted_total"), 0.0);
}
