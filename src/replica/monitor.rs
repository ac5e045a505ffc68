//! Whether servers of NATS sync before they answer, which only their monitoring addresses say.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server says of itself, as far as it matters.
#[derive(Debug, Deserialize)]
struct Varz {
    server_name: String,
    #[serde(default)]
    jetstream: VarzJetStream,
}

#[derive(Debug, Default, Deserialize)]
struct VarzJetStream {
    #[serde(default)]
    config: Option<VarzConfig>,
}

#[derive(Debug, Deserialize)]
struct VarzConfig {
    #[serde(default)]
    sync_always: bool,
}

/// What a power cut of all servers would cost. `keepers` are the servers that keep the log.
pub async fn warnings(monitors: &[String], keepers: &[String]) -> Vec<String> {
    if monitors.is_empty() {
        return vec![
            "nobody has said whether the servers sync before they answer: name their monitoring addresses in \
             wal.nats_monitor. With NATS' default of two minutes, a power cut of all servers loses what was \
             answered 2xx; set sync_interval: always in the section jetstream of each"
                .to_owned(),
        ];
    }
    let mut warnings = Vec::new();
    let mut asked = BTreeSet::new();
    for monitor in monitors {
        match ask(monitor).await {
            Ok(says) => {
                let syncs = says
                    .jetstream
                    .config
                    .is_some_and(|config| config.sync_always);
                if !syncs {
                    warnings.push(format!(
                        "server {} answers before it syncs: a power cut of all servers loses what was answered \
                         2xx; set sync_interval: always in its section jetstream",
                        says.server_name
                    ));
                }
                asked.insert(says.server_name);
            }
            Err(error) => warnings.push(format!(
                "{monitor} does not say whether its server syncs before it answers: {error}"
            )),
        }
    }
    for keeper in keepers.iter().filter(|keeper| !asked.contains(*keeper)) {
        warnings.push(format!(
            "server {keeper} keeps the log too, and no address in wal.nats_monitor has said whether it syncs before \
             it answers"
        ));
    }
    warnings
}

async fn ask(monitor: &str) -> reqwest::Result<Varz> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let url = format!("{}/varz", monitor.trim_end_matches('/'));
    let answer = client.get(url).send().await?.error_for_status()?;
    answer.json().await.map_err(reqwest::Error::without_url)
}
