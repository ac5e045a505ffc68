//! The rules of APIs, and of polls that belong to one.

use http::{HeaderName, HeaderValue};
use reqwest::Url;

use super::apis::Api;
use super::auth_checks;
use super::findings::Findings;
use super::polls::Poll;
use super::rules::{OWN_HEADERS, base_url, is_unencrypted};
use super::sections::Config;
use super::simple;
use crate::poll::definition::AuthKind;

/// Checks every API.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    for (name, api) in &config.api {
        let section = format!("api.{name}");
        simple::check(&section, api, findings);
        auth_checks::check(&section, &api.auth, findings);
        check_one(name, api, findings);
        let is_used = config
            .poll
            .values()
            .any(|poll| poll.api.as_ref() == Some(name))
            || config.call.values().any(|call| call.api == *name);
        if !is_used {
            findings.warning(&section, "no poll or call belongs to this API");
        }
    }
}

fn check_one(name: &str, api: &Api, findings: &mut Findings<'_>) {
    let key = |own: &str| format!("api.{name}.{own}");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        let rule = format!("{name:?} must consist of at most 64 small letters, digits and _");
        findings.problem(&[&format!("api.{name}"), "api"], rule);
    }
    if api.auth.r#type != AuthKind::None && is_unencrypted(&api.url) {
        findings.warning(&key("url"), "credentials are sent unencrypted; use https");
    }
    if api.client_cert_file.is_some() != api.client_key_file.is_some() {
        let rule = "a client's certificate needs its key: set client_cert_file and client_key_file, or \
                    neither";
        findings.problem(&[&key("client_cert_file"), &key("client_key_file")], rule);
    }
    if !api
        .proxy
        .as_ref()
        .is_none_or(|proxy| is_proxy(proxy.expose()))
    {
        let rule = "must be a URL with http or https, such as \"http://proxy.example.com:3128\"";
        findings.problem(&[&key("proxy")], rule);
    }
    for (header, value) in &api.headers {
        let lower = header.to_ascii_lowercase();
        let is_own = OWN_HEADERS.contains(&lower.as_str());
        if is_own || HeaderName::from_bytes(header.as_bytes()).is_err() {
            let rule = format!("{header:?} is no name of a header that may be set");
            findings.problem(&[&key("headers")], rule);
        } else if api.auth.sets_header(&lower) {
            let rule = format!("{header} is set by auth.type; remove one of them");
            findings.problem(&[&key("headers")], rule);
        } else if HeaderValue::from_str(value.expose()).is_err() {
            let rule = format!("the value of {header} holds characters that no header may have");
            findings.problem(&[&key("headers")], rule);
        }
    }
}

/// Whether the text is the URL of a proxy. It may hold a user and a password.
fn is_proxy(text: &str) -> bool {
    let url = Url::parse(text);
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Checks how a poll says where it asks: by its own URL, or by an API and a path.
pub(super) fn check_poll(config: &Config, name: &str, poll: &Poll, findings: &mut Findings<'_>) {
    let key = |own: &str| format!("poll.{name}.{own}");
    let Some(api) = &poll.api else {
        if !poll.path.is_empty() {
            let rule = "path follows the url of an API; set api, or make it a part of url";
            findings.problem(&[&key("path"), &key("api")], rule);
        }
        return;
    };
    belongs_to_api(name, api, poll, findings);
    let section = config.api.get(api);
    if section.is_none_or(|section| base_url(&section.url).is_err()) {
        findings.distrust(&key("url"));
    }
    if section.is_none() {
        let known: Vec<&str> = config.api.keys().map(String::as_str).collect();
        let hint = if known.is_empty() {
            format!("add a section [api.{api}] with a url")
        } else {
            format!("known are {}", known.join(", "))
        };
        let rule = format!("there is no API {api:?}; {hint}");
        findings.problem(&[&key("api"), &format!("api.{api}")], rule);
    }
    if !poll.path.is_empty() && !poll.path.starts_with(['/', '?']) {
        findings.problem(
            &[&key("path")],
            "must start with a slash, such as \"/v1/users\"",
        );
    }
}

/// Reports what a poll sets although it belongs to its API.
fn belongs_to_api(name: &str, api: &str, poll: &Poll, findings: &mut Findings<'_>) {
    let key = |own: &str| format!("poll.{name}.{own}");
    let default = Poll::default();
    for (own, is_set) in [
        ("url", !poll.url.is_empty()),
        ("auth", poll.auth.r#type != AuthKind::None),
        ("rate_limit", poll.rate_limit != default.rate_limit),
        (
            "connect_timeout",
            poll.connect_timeout != default.connect_timeout,
        ),
        ("allow_hosts", !poll.allow_hosts.is_empty()),
    ] {
        if is_set {
            let hint = if own == "url" {
                "; set path instead".to_owned()
            } else {
                format!("; set api.{api}.{own} instead")
            };
            let rule = format!("{own} belongs to the API of this poll{hint}");
            findings.problem(&[&key(own), &key("api")], rule);
        }
    }
}
