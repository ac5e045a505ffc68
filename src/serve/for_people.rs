//! What the configuration says about the console, and to those who look at it.

use std::sync::Arc;

use super::catalogue;
use super::errors::ServeError;
use super::lakes::lake_opener;
use super::listen::listen_for_people;
use super::settings::hook_judge;
use crate::config::{self, Config, ContractKind, EffectiveSetting, Span};
use crate::console::{Console, ConsoleParts, ConsoleSettings, FeedSetting, ShownSetting};
use crate::contract::{EVENTS, Schemas};
use crate::ids::Ids;
use crate::receive::client::Tokens;
use crate::receive::tls::Tls;
use crate::receive::{App, Server};

/// The console of a service, where it listens, and the tokens to log in with.
pub(super) struct People {
    pub(super) console: Arc<Console>,
    pub(super) server: Option<Server>,
    pub(super) tokens: Tokens,
}

/// Makes the console of a service, and listens for people.
pub(super) async fn listen(
    config: &Config,
    app: &Arc<App>,
    schemas: &Schemas,
    (effective, tls): (Vec<ShownSetting>, Option<Arc<Tls>>),
    ids: &Ids,
) -> Result<People, ServeError> {
    let tokens = Tokens::new(console_tokens(&config.server));
    let parts = ConsoleParts {
        app: Arc::clone(app),
        settings: console_settings(config, tokens.clone(), schemas, effective),
        open_lake: lake_opener(config),
        hooks: hook_judge(config),
        statements: catalogue::for_people(config),
        ids: ids.clone(),
    };
    let console = Arc::new(Console::new(parts)?);
    let server = listen_for_people(config, tls, Arc::clone(&console)).await?;
    Ok(People {
        console,
        server,
        tokens,
    })
}

/// The settings in force, as people see them.
pub fn shown_settings(effective: &[EffectiveSetting]) -> Vec<ShownSetting> {
    let shown = effective.iter().map(|setting| ShownSetting {
        section: setting.section.clone(),
        key: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.brief(),
    });
    shown.collect()
}

/// The schemas of events' properties as text.
fn schema_texts(schemas: &Schemas) -> Vec<(String, String)> {
    let types: Vec<String> = schemas.types().map(str::to_owned).collect();
    let texts = types.into_iter().map(|name| {
        let text = schemas.texts(std::slice::from_ref(&name)).next();
        let value: Option<serde_json::Value> = text
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
        (name, pretty.or(text).unwrap_or_default())
    });
    texts.collect()
}

/// The tokens of the console.
pub(super) fn console_tokens(server: &config::Server) -> Vec<String> {
    let tokens = server.console_tokens.iter();
    tokens.map(|token| token.expose().to_owned()).collect()
}

/// What the console says about polls and calls. Of a URL it names the host alone: the rest may hold a secret.
fn feed_settings(config: &Config) -> Vec<FeedSetting> {
    let host = |url: &str| {
        let url = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = url.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        host.to_owned()
    };
    let of_api = |api: Option<&String>| {
        let api = api.and_then(|api| config.api.get(api));
        api.map(|api| host(&api.url))
    };
    let times = |every: Option<Span>, cron: Option<&String>, zone: &str| {
        let schedule = cron.map(|cron| format!("{cron} ({zone})"));
        let schedule = schedule.unwrap_or_else(|| "only when asked".to_owned());
        (every.map(Span::duration), schedule)
    };
    let polls = config.poll.iter().map(|(name, poll)| {
        let from = of_api(poll.api.as_ref()).unwrap_or_else(|| host(&poll.url));
        let (every, schedule) = times(poll.every, poll.cron.as_ref(), &poll.time_zone);
        FeedSetting {
            name: name.clone(),
            about: format!("{} of {from}", poll.mode.as_str()),
            every,
            schedule,
        }
    });
    let calls = config.call.iter().map(|(name, call)| FeedSetting {
        name: name.clone(),
        about: format!("call to {}", of_api(Some(&call.api)).unwrap_or_default()),
        ..FeedSetting::default()
    });
    let files = config.files.iter().map(|(name, files)| {
        let (every, schedule) = times(files.every, files.cron.as_ref(), &files.time_zone);
        FeedSetting {
            name: name.clone(),
            about: "files of an inbox".to_owned(),
            every,
            schedule,
        }
    });
    polls.chain(calls).chain(files).collect()
}

/// The paths of all hooks.
pub(super) fn hook_paths(config: &Config) -> Vec<String> {
    let paths = config.hook.iter().flat_map(|(name, hook)| hook.paths(name));
    paths.map(|(path, _)| path).collect()
}

/// Settings of the console.
fn console_settings(
    config: &Config,
    tokens: Tokens,
    schemas: &Schemas,
    effective: Vec<ShownSetting>,
) -> ConsoleSettings {
    let server = &config.server;
    let has_tls = server.tls_cert_file.is_some();
    let scheme = if has_tls { "https" } else { "http" };
    ConsoleSettings {
        tokens,
        hosts: server.console_hosts.clone(),
        shows_values: server.console_show_values,
        has_tls,
        streams: std::iter::once(EVENTS.to_owned())
            .chain(config.poll.keys().cloned())
            .chain(config.call.keys().cloned())
            .chain(config.files.keys().cloned())
            .collect(),
        hooks: config.hook.keys().cloned().collect(),
        hook_paths: hook_paths(config),
        schemas: schema_texts(schemas),
        log_dir: config.wal.dir.clone(),
        effective,
        feeds: feed_settings(config),
        lake: config.lake.url.to_string(),
        receives_at: format!("{scheme}://{}", server.listen),
        is_open: config.events.contract == ContractKind::Open,
        batch_age: config.batch.max_age.duration(),
    }
}
