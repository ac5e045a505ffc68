//! Documented APIs: lakehook reads fakes of them, and its lake is compared with what they held.
//!
//! The fakes, the configurations and what runs them are in `tests/apis/`. What comes out is the table under "APIs that
//! were tried" of `docs/polls.md`. Its examples are the files of `tests/apis/`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use crate::support::python;

/// What the battery tells of an API.
#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    title: String,
    document: String,
    pages: String,
    credentials: String,
    filter: String,
    /// What is wrong with its whole copy; nothing, if every row was right in every run.
    whole: Option<String>,
    /// What is wrong with its changes.
    incremental: Option<String>,
    /// The reasons in its configuration why it cannot be read.
    reasons: Vec<String>,
    /// Where the fake's answers have another shape than the documented ones.
    differences: Vec<String>,
}

/// Runs the battery: over all APIs, or over changed configurations only.
fn battery(changes: Option<&serde_json::Value>) -> Vec<Told> {
    let work = TempDir::new().unwrap();
    let mut command = Command::new(python::python());
    command
        .arg("-B")
        .arg(apis().join("battery.py"))
        .args(["--program", env!("CARGO_BIN_EXE_lakehook"), "--work"])
        .arg(work.path().join("trials"))
        .stderr(Stdio::inherit());
    if let Some(changes) = changes {
        let file = work.path().join("changes.json");
        std::fs::write(&file, changes.to_string()).unwrap();
        command.arg("--changes").arg(file);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    told.collect::<Result<_, _>>().unwrap()
}

fn apis() -> PathBuf {
    python::repository().join("tests/apis")
}

impl Told {
    fn row(&self) -> String {
        let whole = verdict(self.whole.as_ref());
        let incremental = if self.filter.is_empty() {
            "–".to_owned()
        } else {
            format!("{}: {}", verdict(self.incremental.as_ref()), self.filter)
        };
        format!(
            "| [{}]({}) | {} | {} | {whole} | {incremental} |\n",
            self.title, self.document, self.pages, self.credentials
        )
    }

    /// What is wrong although the configuration does not say so.
    fn faults(&self) -> Vec<String> {
        let wrong = self.whole.iter().chain(&self.incremental);
        let unexpected = wrong.filter(|text| !self.reasons.contains(text)).cloned();
        let mut faults: Vec<String> = unexpected.chain(self.differences.clone()).collect();
        for text in &mut faults {
            text.insert_str(0, &format!("{}: ", self.name));
        }
        faults
    }
}

fn verdict(wrong: Option<&String>) -> String {
    wrong.map_or_else(|| "yes".to_owned(), |reason| format!("no ({reason})"))
}

fn table(all: &[Told]) -> String {
    let head = "| API | pages | credentials | whole | changes |\n|---|---|---|---|---|\n";
    let count = |found: &dyn Fn(&&Told) -> bool| all.iter().filter(found).count();
    let filtered = |told: &&Told| !told.filter.is_empty();
    let sums = format!(
        "\nWhole: {} of {}. Changes: {} of {}.\n",
        count(&|told| told.whole.is_none()),
        all.len(),
        count(&|told| filtered(told) && told.incremental.is_none()),
        count(&filtered),
    );
    let mut sorted: Vec<&Told> = all.iter().collect();
    sorted.sort_by_key(|told| told.title.to_lowercase());
    let rows: String = sorted.into_iter().map(Told::row).collect();
    format!("{head}{rows}{sums}")
}

/// Compares a part of `docs/polls.md`, between two comments, with what it must be; or records it.
fn check_page(part: &str, expected: &str) {
    let file = python::repository().join("docs/polls.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = (
        format!("<!-- {part} -->\n"),
        format!("<!-- end of {part} -->\n"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if found == expected {
        return;
    }
    let recorded = std::env::var_os("LAKEHOOK_RECORD").is_some();
    assert!(
        recorded,
        "docs/polls.md differs (LAKEHOOK_RECORD=1 writes it anew); expected {part}:\n{expected}"
    );
    std::fs::write(&file, format!("{before}{begin}{expected}{end}{after}")).unwrap();
}

#[test]
fn documented_apis_are_read_as_they_are() {
    let all = battery(None);
    let table = table(&all);
    println!("{table}");
    let faults: Vec<String> = all.iter().flat_map(Told::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    check_page("table of APIs", &table);
}

#[test]
fn the_examples_of_the_page_are_configurations_that_were_tried() {
    let page = std::fs::read_to_string(python::repository().join("docs/polls.md")).unwrap();
    let marks = page.lines().filter_map(|line| {
        line.strip_prefix("<!-- tests/apis/")?
            .strip_suffix(".toml -->")
    });
    let names: Vec<&str> = marks.collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let text = std::fs::read_to_string(apis().join(format!("{name}.toml"))).unwrap();
        check_page(
            &format!("tests/apis/{name}.toml"),
            &format!("```toml\n{text}```\n"),
        );
    }
}

/// A configuration that must not pass: the API, a text of its configuration and what stands there instead,
/// whether it is its whole copy that goes wrong, and a part of what is told of it.
type Mistake = (&'static str, &'static str, &'static str, bool, &'static str);

const MISTAKES: &[Mistake] = &[
    // One page of three.
    (
        "github_repositories",
        "pagination = { type = \"link-header\" }",
        "",
        true,
        "13 rows are missing, 0 too many",
    ),
    // Another list, or none.
    (
        "mollie",
        "/_embedded/payments",
        "/_embedded",
        true,
        "expected a list of records at /_embedded",
    ),
    (
        "world_bank",
        "records = \"/1\"",
        "records = \"/0\"",
        true,
        "must not be the same place as records",
    ),
    // Hidden entries make pages short.
    (
        "box_items",
        "step = \"limit\" }",
        "step = \"count\" }",
        true,
        "the id of a record before",
    ),
    (
        "box_items",
        "step = \"limit\" }",
        "step = \"limit\", stop = \"short-page\" }",
        true,
        "rows are missing",
    ),
    // Pages have ten records, whatever is asked for.
    (
        "jira_server",
        "limit = 50, step = \"count\"",
        "limit = 50, step = \"limit\"",
        false,
        "13 rows are missing",
    ),
    // Offsets from 1.
    (
        "scim",
        "first = 1",
        "first = 0",
        true,
        "the id of a record before",
    ),
    (
        "usgs",
        "first = 1",
        "first = 2",
        true,
        "1 rows are missing, 0 too many",
    ),
    // A time of another unit or order.
    (
        "clickup",
        "format = \"ms\"",
        "format = \"s\"",
        false,
        "as whole seconds since 1970",
    ),
    (
        "hubspot",
        "into_format = \"ms\"",
        "into_format = \"s\"",
        false,
        "do not ask for changes only",
    ),
    (
        "jira_cloud",
        "into_format = \"%Y/%m/%d %H:%M\"",
        "into_format = \"%Y/%d/%m %H:%M\"",
        false,
        "do not ask for changes only",
    ),
    (
        "polygon",
        "format = \"ns\"",
        "format = \"us\"",
        false,
        "as microseconds since 1970",
    ),
    // The wrong end of a page.
    (
        "stripe",
        "next = \"last:/id\"",
        "next = \"first:/id\"",
        true,
        "the id of a record before",
    ),
    // A token that is not kept.
    (
        "zendesk_tickets",
        "resume_from = \"/after_url\"",
        "",
        false,
        "do not ask for changes only",
    ),
    // Records without their names, and lines that are not divided.
    (
        "frankfurter",
        "map_key = \"currency\"\nid = \"currency\"",
        "",
        true,
        "2 rows are missing, 2 too many",
    ),
    (
        "ecb",
        "format = \"csv\"",
        "format = \"csv\"\ncsv = { delimiter = \";\" }",
        true,
        "27 of 27 records are refused",
    ),
    // A key that parents do not have.
    (
        "hacker_news",
        "set = { id = \"/value\" }",
        "set = { id = \"/id\" }",
        true,
        "no record of story_ids has text",
    ),
    (
        "bigcommerce",
        "set = { order = \"/id\" }",
        "set = { order = \"/items_total\" }",
        true,
        "answered 404",
    ),
];

#[test]
fn a_wrong_configuration_is_noticed() {
    let changes = MISTAKES
        .iter()
        .map(|(name, old, new, ..)| serde_json::json!([name, old, new]));
    let all = battery(Some(&changes.collect()));
    assert_eq!(all.len(), MISTAKES.len());
    for (told, (name, old, new, is_whole, words)) in all.iter().zip(MISTAKES) {
        let wrong = if *is_whole {
            &told.whole
        } else {
            &told.incremental
        };
        let text = wrong.as_deref().unwrap_or("everything was right");
        println!("{name}: {new:?} instead of {old:?}: {text}");
        assert!(
            wrong.is_some() && text.contains(words),
            "{name}: {new:?} instead of {old:?}: {text}"
        );
    }
}
