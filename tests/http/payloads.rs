//! Public collections of payloads, such as octokit/webhooks: every body of a directory that is given becomes one event,
//! byte by byte, and the same again is a duplicate.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::accepted::gzip;
use super::connect;
use super::signed::{SECRET, hex};
use crate::arrival::STOP_LIMIT;
use crate::support::needs::Need;
use crate::support::process::Setup;

/// Names the directory.
const VARIABLE: &str = "LAKEHOOK_PAYLOADS";

fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

/// How a payload is sent. GitHub offers two media types; proxies compress.
const FORMS: [Form; 3] = [Form::Plain, Form::Payload, Form::Gzip];

#[derive(Clone, Copy)]
enum Form {
    Plain,
    Payload,
    Gzip,
}

impl Form {
    fn body(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => payload.to_vec(),
            Self::Payload => {
                let encoded = payload.iter().map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
                    other => format!("%{other:02X}"),
                });
                let text: String = std::iter::once("payload=".to_owned())
                    .chain(encoded)
                    .collect();
                text.into_bytes()
            }
            Self::Gzip => gzip(payload),
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain => &[("content-type", "application/json")],
            Self::Payload => &[("content-type", "application/x-www-form-urlencoded")],
            Self::Gzip => &[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ],
        }
    }
}

/// What a row of a payload must be.
struct Sent {
    event_type: String,
    payload: String,
}

/// The folder of a payload is the type of its event, as in octokit/webhooks.
#[test]
fn every_payload_of_a_collection_is_one_event() {
    let Some(dir) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        Need::Payloads.skip("LAKEHOOK_PAYLOADS names no directory");
        return;
    };
    let mut paths = Vec::new();
    files(&dir, "json", &mut paths);
    paths.sort();
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"256 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n"
    ));
    let program = setup.start();
    let mut connection = connect(&setup);
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    for (number, path) in paths.iter().enumerate() {
        let payload = std::fs::read(path).unwrap();
        // Schemas and lists lie between the payloads.
        let Ok(Value::Object(_)) = serde_json::from_slice(&payload) else {
            continue;
        };
        let folder = path.parent().unwrap().file_name().unwrap();
        let event_type = folder.to_str().unwrap();
        let form = FORMS[number % FORMS.len()];
        let body = form.body(&payload);
        let id = format!("delivery-{number}");
        let signature = format!("sha256={}", hex(&body));
        let own = [
            ("x-hub-signature-256", &*signature),
            ("x-github-event", event_type),
            ("x-github-delivery", &*id),
        ];
        let headers = [form.headers(), &own].concat();
        for counted in ["accepted", "duplicates"] {
            let answer = connection
                .request("POST", "/webhook/github", &headers, &body)
                .unwrap();
            assert_eq!(
                answer.json()[counted],
                1,
                "{}: {}",
                path.display(),
                answer.text()
            );
        }
        let payload = String::from_utf8(payload).unwrap();
        let event_type = event_type.to_owned();
        sent.insert(
            id,
            Sent {
                event_type,
                payload,
            },
        );
    }
    assert!(!sent.is_empty(), "{} holds no payloads", dir.display());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/quarantine").exists());
    let lines = lines(&setup.directory().join("lake/events"));
    assert_eq!(lines.len(), sent.len());
    for line in lines {
        let row: Row<'_> = serde_json::from_str(&line).unwrap();
        let sent = &sent[&row.extra.provider_id];
        assert_eq!(row.event_type, sent.event_type);
        // Every byte, apart from the ends of lines and what is around the value.
        let kept = sent.payload.trim().replace(['\n', '\r'], " ");
        assert_eq!(row.properties.get(), kept, "{}", row.extra.provider_id);
    }
    println!("{} payloads", sent.len());
}

/// A row as it lies in the lake.
#[derive(Deserialize)]
struct Row<'l> {
    event_type: String,
    #[serde(borrow)]
    properties: &'l RawValue,
    extra: Extra,
}

#[derive(Deserialize)]
struct Extra {
    provider_id: String,
}

/// The lines of all objects below a directory.
pub(super) fn lines(dir: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    files(dir, "gz", &mut paths);
    let mut all = Vec::new();
    for path in paths {
        let mut text = String::new();
        let object = std::fs::File::open(path).unwrap();
        MultiGzDecoder::new(object)
            .read_to_string(&mut text)
            .unwrap();
        all.extend(text.lines().map(str::to_owned));
    }
    all
}
