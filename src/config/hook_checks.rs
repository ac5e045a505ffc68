//! The rules of providers' webhooks, and of the signatures of events.

use std::path::Path;

use super::findings::Findings;
use super::hooks::{Hook, SchemeName};
use super::rules::{OWN_PATHS, is_plain_path};
use super::secret_file::SecretFile;
use super::sections::Config;
use crate::receive::scheme::{FieldSource, Scheme};
use crate::secret::Secret;

const MIN_SECRET_CHARS: usize = 8;

/// Reads the files of secrets that the configuration names, for hooks and for the webhook of events.
pub(super) fn read_secrets(config: &mut Config, findings: &mut Findings<'_>) {
    for (name, hook) in &mut config.hook {
        if let Some(path) = hook.secrets_file.clone() {
            let key = format!("hook.{name}.secrets_file");
            hook.secrets.extend(read(&path, &key, findings));
        }
    }
    if let Some(path) = config.events.signing_secrets_file.clone() {
        let read = read(&path, "events.signing_secrets_file", findings);
        config.events.signing_secrets.extend(read);
    }
}

fn read(path: &Path, key: &str, findings: &mut Findings<'_>) -> Vec<Secret> {
    let shown = path.display();
    let file = match SecretFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            findings.problem(&[key], format!("{shown} cannot be read: {error}"));
            return Vec::new();
        }
    };
    if file.is_open_to_others {
        let text = format!("{shown} can be read by others than its owner; chmod 600 it");
        findings.warning(key, &text);
    }
    if file.secrets.is_empty() {
        findings.problem(
            &[key],
            format!("{shown} holds no secret; put one on a line"),
        );
    }
    file.secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// Checks every rule of hooks and of the signatures of events.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let key = "events.signing_secrets";
    secrets(
        &Scheme::Standard,
        &config.events.signing_secrets,
        key,
        findings,
    );
    let mut paths = vec![config.events.path.trim_end_matches('/').to_owned()];
    for (name, hook) in &config.hook {
        let key = |part: &str| format!("hook.{name}.{part}");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            let rule =
                format!("{name:?} must consist of at most 64 small letters, digits, _ and -");
            findings.problem(&[&format!("hook.{name}"), "hook"], rule);
        }
        let path = hook.path(name);
        if !is_plain_path(&path) || OWN_PATHS.contains(&path.as_str()) {
            let rule = format!("{path:?} must be a plain path such as \"/webhook/github\"");
            findings.problem(&[&key("path"), "hook"], rule);
        } else if paths.contains(&path) {
            let rule = format!("{path} is the path of another webhook; give each its own");
            findings.problem(&[&key("path"), "hook"], rule);
        }
        paths.push(path);
        if hook.secrets.is_empty() && hook.secrets_file.is_none() {
            let rule = "must hold what the provider signs with; or set secrets_file";
            findings.problem(&[&key("secrets")], rule);
        }
        secrets(&hook.scheme(), &hook.secrets, &key("secrets"), findings);
        check_header(hook, &key, findings);
        for (part, text) in [
            ("id", &hook.id),
            ("type", &hook.r#type),
            ("time", &hook.time),
        ] {
            if text
                .as_deref()
                .is_some_and(|text| FieldSource::parse(text).is_none())
            {
                let rule = "must be \"header:X-Name\", or a JSON Pointer such as \"/event/id\"";
                findings.problem(&[&key(part)], rule);
            }
        }
    }
}

fn check_header(hook: &Hook, key: &dyn Fn(&str) -> String, findings: &mut Findings<'_>) {
    let is_plain = hook.scheme == SchemeName::Hmac;
    match &hook.header {
        None if is_plain => {
            let rule = "must name the header that holds the signature, such as \"X-Signature\"";
            findings.problem(&[&key("header")], rule);
        }
        Some(_) if !is_plain => {
            let rule = "means something for scheme = \"hmac\" alone; the others have their own";
            findings.problem(&[&key("header")], rule);
        }
        Some(header) if http::HeaderName::from_bytes(header.as_bytes()).is_err() => {
            findings.problem(&[&key("header")], "must be the name of a header");
        }
        _ => {}
    }
}

/// Checks that each secret is a key of the scheme. The errors repeat nothing of a secret.
fn secrets(scheme: &Scheme, secrets: &[Secret], key: &str, findings: &mut Findings<'_>) {
    for (index, secret) in secrets.iter().enumerate() {
        let text = secret.expose();
        let rule = if scheme.key_of(text).is_none() {
            "must be base64, with or without whsec_ before it"
        } else if text.len() < MIN_SECRET_CHARS {
            "is too short; at least 8 characters"
        } else {
            continue;
        };
        findings.problem(&[key], format!("secret {} of the list {rule}", index + 1));
    }
}
