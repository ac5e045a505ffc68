//! The service `dbt_pipeline` of the compose file, as far as it goes without an engine for containers: its commands
//! run in its mounted folder, with the environment of the service and of its image.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::http::{body, click, post};
use crate::stack::{read, texts, yaml};
use crate::support::http::Connection;
use crate::support::moto::Moto;
use crate::support::process::Setup;
use crate::support::python::repository;
use crate::support::s3::BUCKET;

const CSV: [(&str, &str); 3] = [
    ("users", "user_id,name,age\nu1,Ann,20\nu2,Bob,70\n"),
    (
        "content",
        "content_id,prayer_type\nc1,rosary\nc2,meditation\n",
    ),
    (
        "sessions",
        "session_id,user_id,content_id,started_at,duration_seconds\n\
         s1,u1,c1,2026-01-01T00:00:00Z,60\ns2,u1,c1,2026-01-01T00:00:00Z,60\ns3,u2,c2,2026-01-01T00:00:00Z,60\n",
    ),
];

/// The running service: a copy of the folder that it mounts, and the environment.
struct Pipeline {
    folder: PathBuf,
    env: Vec<(String, String)>,
}

impl Pipeline {
    /// `docker compose exec dbt_pipeline …`.
    fn exec(&self, words: &str) -> String {
        let mut words = words.split('|');
        let program = words.next().unwrap();
        let found = self.env.iter().find(|(name, _)| name == "PATH").unwrap();
        let mut places = found
            .1
            .split(':')
            .map(|folder| Path::new(folder).join(program));
        let program = places.find(|path| path.exists()).unwrap();
        let output = Command::new(program)
            .args(words)
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.folder.parent().unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn top(&self) -> String {
        let query =
            "select prayer_type, session_count from top_5_prayer_types_per_age_group order by all";
        self.exec(&format!("duckdb|./results/dbt.duckdb|-csv|-c|{query}"))
    }
}

/// The variables that `ENV` of a Dockerfile sets.
fn image_env(dockerfile: &str) -> Vec<(String, String)> {
    let text = read(dockerfile).replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace);
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Copies what is in the repository; not what an earlier run has left there.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_made = ["target", "logs", "__pycache__"].contains(&name.as_str());
        if is_made || Path::new(&name).extension().is_some_and(|e| e == "duckdb") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// The environment in the container, with places on this machine instead of those of the image.
fn environment(service: &Value, setup: &Setup, moto: &Moto) -> Vec<(String, String)> {
    let venv = repository().join(".venv-analytics");
    assert!(venv.join("bin/uv").exists(), "no uv: run make setup");
    let venv = venv.to_str().unwrap();
    let mut env = image_env("analytics/Dockerfile");
    assert_eq!(env.len(), 4, "{env:?}");
    for (name, value) in service["environment"].as_object().unwrap() {
        env.push((name.clone(), value.as_str().unwrap().to_owned()));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_lakehook")).parent().unwrap();
    let own = format!("{}:/usr/bin:/bin", program.display());
    let config = setup.directory().join("lakehook.toml");
    for (_, value) in &mut env {
        *value = value
            .replace("/opt/venv", venv)
            .replace("$PATH", &own)
            .replace("/etc/lakehook/lakehook.toml", config.to_str().unwrap())
            .replace(
                "localstack:4566",
                moto.endpoint().trim_start_matches("http://"),
            )
            .replace("s3://lake", &format!("s3://{BUCKET}"));
    }
    env
}

#[test]
fn the_pipeline_runs_in_its_mounted_folder_again_and_again() {
    let compose = yaml("docker-compose.yml");
    let service = &compose["services"]["dbt_pipeline"];
    assert_eq!(texts(&service["command"]), ["sleep", "infinity"]);
    assert!(texts(&service["volumes"]).contains(&"./analytics:/analytics".to_owned()));
    assert!(read("analytics/Dockerfile").contains("\nWORKDIR /analytics\n"));

    let moto = Moto::start();
    let address = moto.endpoint();
    let address = address.trim_start_matches("http://").parse().unwrap();
    for (name, text) in CSV {
        // The server answers one request a connection.
        let mut bucket = Connection::open(address, Duration::from_mins(1)).unwrap();
        let put = bucket.request(
            "PUT",
            &format!("/{BUCKET}/csv/{name}.csv"),
            &[],
            text.as_bytes(),
        );
        assert_eq!(put.unwrap().status, 200);
    }
    // As deploy/compose/lakehook.toml, but for the places.
    let config = read("deploy/compose/lakehook.toml")
        .replace("http://localstack:4566", &moto.endpoint())
        .replace("s3://lake", &format!("s3://{BUCKET}"))
        .replace("/data/", "data/")
        .replace("schemas/", &format!("{}/schemas/", repository().display()))
        .replace("every = \"5m\"\n", "");
    let setup = Setup::new(&config);
    let program = setup.start();
    let answer = post(&setup, body(&[click(1), click(2)]));
    assert_eq!(answer.json()["accepted"], 2, "{}", answer.text());
    assert!(program.stop(crate::arrival::STOP_LIMIT).success());

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("analytics");
    copy(&repository().join("analytics"), &folder);
    let env = environment(service, &setup, &moto);
    let pipeline = Pipeline { folder, env };
    pipeline.exec("uv|run|dbt|run");
    assert_eq!(
        pipeline.top(),
        "prayer_type,session_count\nmeditation,1\nrosary,2\n"
    );
    let count =
        "duckdb|./results/dbt.duckdb|-csv|-noheader|-c|select sum(events) from daily_events";
    assert_eq!(pipeline.exec(count).trim(), "2");

    // A model is changed and run again, in a new database too.
    let mart = "models/marts/top_5_prayer_types_per_age_group.sql";
    let mart = pipeline.folder.join(mart);
    let text = std::fs::read_to_string(&mart).unwrap();
    std::fs::write(&mart, text.replace("count(*)", "count(*) * 10")).unwrap();
    std::fs::remove_file(pipeline.folder.join("results/dbt.duckdb")).unwrap();
    pipeline.exec("uv|run|dbt|run");
    assert_eq!(
        pipeline.top(),
        "prayer_type,session_count\nmeditation,10\nrosary,20\n"
    );
}
