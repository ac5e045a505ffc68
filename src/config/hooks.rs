//! `[hook.NAME]`: webhooks of providers, and their rules.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::amounts::Span;
use super::checks::{OWN_PATHS, is_plain_path};
use super::findings::Findings;
use super::secret::{Secret, SecretFile};
use super::sections::Config;
use super::words;
use crate::receive::scheme::{FieldSource, Scheme};

const MIN_SECRET_CHARS: usize = 8;

/// `[hook.NAME]`: one provider; the name is the source of its events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// How it signs.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SchemeName>")]
    pub scheme: SchemeName,
    /// Where it posts to; by default `/webhook/<NAME>`.
    pub path: Option<String>,
    /// What it signs with; several while one replaces another.
    pub secrets: Vec<Secret>,
    /// A file of further secrets, one a line.
    #[schemars(length(min = 1))]
    pub secrets_file: Option<PathBuf>,
    /// How far the time that was signed may be from now.
    pub tolerance: Span,
    /// For `hmac`: the header that holds the signature.
    pub header: Option<String>,
    /// For `hmac`: what stands before it.
    pub prefix: String,
    /// For `hmac`: how it is written.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SignatureEncoding>")]
    pub encoding: SignatureEncoding,
    /// Where the event's id is: `header:X-Name`, or a JSON Pointer.
    pub id: Option<String>,
    /// Where its type is.
    pub r#type: Option<String>,
    /// Where its time is.
    pub time: Option<String>,
}

/// Names of schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeName {
    /// Standard Webhooks.
    Standard,
    /// GitHub.
    GitHub,
    /// Stripe.
    Stripe,
    /// Shopify.
    Shopify,
    /// Slack.
    Slack,
    /// HMAC-SHA256 of the body in a header.
    Hmac,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Hexadecimal.
    Hex,
    /// Base64.
    Base64,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            scheme: SchemeName::Standard,
            path: None,
            secrets: Vec::new(),
            secrets_file: None,
            tolerance: Span::seconds(300),
            header: None,
            prefix: String::new(),
            encoding: SignatureEncoding::Hex,
            id: None,
            r#type: None,
            time: None,
        }
    }
}

impl Hook {
    /// Its path.
    pub fn path(&self, name: &str) -> String {
        let default = || format!("/webhook/{name}");
        self.path.clone().unwrap_or_else(default)
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        match self.scheme {
            SchemeName::Standard => Scheme::Standard,
            SchemeName::GitHub => Scheme::GitHub,
            SchemeName::Stripe => Scheme::Stripe,
            SchemeName::Shopify => Scheme::Shopify,
            SchemeName::Slack => Scheme::Slack,
            SchemeName::Hmac => Scheme::Plain {
                header: self.header.clone().unwrap_or_default().to_lowercase(),
                prefix: self.prefix.clone(),
                is_base64: self.encoding == SignatureEncoding::Base64,
            },
        }
    }

    /// Where id, type and time are.
    pub fn places(&self) -> [FieldSource; 3] {
        let [id, kind, time] = self.scheme().fields();
        let own = |text: &Option<String>, default: FieldSource| {
            let own = text.as_deref().and_then(FieldSource::parse);
            own.unwrap_or(default)
        };
        [
            own(&self.id, id),
            own(&self.r#type, kind),
            own(&self.time, time),
        ]
    }
}

/// Reads the files of secrets that are named: of hooks, and of the webhook of events.
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

/// Checks every rule of hooks, and of the signatures of events.
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

/// What is wrong with secrets, without a word of them.
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
