//! The rules of providers' webhooks, and of the signatures of events.

use std::path::Path;

use super::findings::Findings;
use super::hook_scheme::SchemeFault;
use super::hook_words::{AuthKind, Texts};
use super::hooks::{Hook, id_of};
use super::rules::{OWN_PATHS, is_plain_path};
use super::secret_file::SecretFile;
use super::sections::Config;
use crate::receive::KeptHeaders;
use crate::receive::fields::FieldSource;
use crate::receive::packs::{Challenge, STANDARD};
use crate::secret::Secret;
use crate::signature::Scheme;
use crate::wal::layout::MAX_FRAME;

pub(super) const MIN_SECRET_CHARS: usize = 8;
/// GitHub sends as much, and nobody more.
const MAX_HOOK_BODY: u64 = 25 << 20;

/// Reads the files of secrets that the configuration names, for hooks and for the webhook of events.
pub(super) fn read_secrets(config: &mut Config, findings: &mut Findings<'_>) {
    for (name, hook) in &mut config.hook {
        hook.own_secrets = hook.secrets.len();
        if let Some(path) = hook.secrets_file.clone() {
            let key = format!("hook.{name}.secrets_file");
            hook.secrets.extend(read(&path, &key, findings));
        }
        for auth in &mut hook.auth {
            auth.own_secrets = auth.secrets.len();
            if let Some(path) = auth.secrets_file.clone() {
                let key = format!("hook.{name}.auth");
                auth.secrets.extend(read(&path, &key, findings));
            }
            if let Some(path) = &auth.keys_file {
                let key = format!("hook.{name}.auth");
                auth.keys = read_keys(path, &key, findings);
            }
        }
    }
    config.events.own_signing_secrets = config.events.signing_secrets.len();
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

/// Reads a set of public keys, which is not secret.
fn read_keys(path: &Path, key: &str, findings: &mut Findings<'_>) -> Option<Secret> {
    match SecretFile::text_of(path) {
        Ok(text) => Some(Secret::new(text)),
        Err(error) => {
            let shown = path.display();
            findings.problem(&[key], format!("{shown} cannot be read: {error}"));
            None
        }
    }
}

/// Checks every rule of hooks and of the signatures of events.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let key = "events.signing_secrets";
    let secrets = &config.events.signing_secrets;
    check_keys(&STANDARD.schemes(), secrets, key, findings);
    let mut paths = vec![config.events.path.trim_end_matches('/').to_owned()];
    for (name, hook) in &config.hook {
        let mut hook_findings = HookFindings {
            name,
            config,
            findings,
        };
        hook_findings.check_name_and_path(hook, &mut paths);
        hook_findings.check_scheme(hook);
        hook_findings.check_topics(hook);
        hook_findings.check_auth(hook);
        hook_findings.check_url(hook);
        hook_findings.check_places(hook);
    }
}

/// Checks the rules of one hook.
pub(super) struct HookFindings<'f, 's> {
    pub(super) name: &'f str,
    pub(super) config: &'f Config,
    pub(super) findings: &'f mut Findings<'s>,
}

impl HookFindings<'_, '_> {
    pub(super) fn problem(&mut self, part: &str, rule: impl Into<String>) {
        let key = format!("hook.{}.{part}", self.name);
        self.findings.problem(&[&key], rule);
    }

    fn check_name_and_path(&mut self, hook: &Hook, paths: &mut Vec<String>) {
        let name = self.name;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            let rule =
                format!("{name:?} must consist of at most 64 small letters, digits, _ and -");
            self.findings
                .problem(&[&format!("hook.{name}"), "hook"], rule);
        }
        let key = format!("hook.{name}.path");
        for (path, _) in hook.paths(name) {
            let shown = hook.path.as_ref().unwrap_or(&path);
            if !is_plain_path(&path) || OWN_PATHS.contains(&path.as_str()) {
                let rule = format!("{shown:?} must be a plain path such as \"/webhook/{name}\"");
                self.findings.problem(&[&key, "hook"], rule);
                return;
            }
            if paths.contains(&path) {
                let rule = format!("{path} is the path of another webhook; give each its own");
                self.findings.problem(&[&key, "hook"], rule);
                return;
            }
            paths.push(path);
        }
    }

    fn check_scheme(&mut self, hook: &Hook) {
        if !is_signed(hook) {
            let own = hook.own_scheme().into_iter();
            let unused = own.chain([("secrets", has_secrets(hook))]);
            for (key, _) in unused.filter(|(_, is_set)| *is_set) {
                let rule = "means nothing here, because `auth` has no { type = \"signature\" }";
                self.problem(key, rule);
            }
            return;
        }
        if hook.pack().proofs.is_empty() && !hook.has_own_scheme() {
            let rule = "must say who may send, such as [{ type = \"bearer\", secrets_file = \"tokens\" }], because this \
                        scheme has no proof of its own";
            self.problem("auth", rule);
            return;
        }
        if hook.pack().has_topics() {
            if has_secrets(hook) {
                let rule = "mean nothing here, because Amazon signs with a certificate of its own";
                self.problem("secrets", rule);
            }
        } else if !has_secrets(hook) {
            let rule = "must hold what the provider signs with; or set secrets_file";
            self.problem("secrets", rule);
        }
        if !hook.has_own_scheme() {
            for (key, _) in hook.own_scheme().into_iter().filter(|(_, is_set)| *is_set) {
                let rule = "means something for scheme = \"hmac\" alone; the others have their own";
                self.problem(key, rule);
            }
        }
        self.check_signature_places(hook);
        match hook.schemes() {
            Ok(schemes) => {
                let key = format!("hook.{}.secrets", self.name);
                check_keys(&schemes, &hook.secrets, &key, self.findings);
            }
            Err(SchemeFault::Where) => {
                let rule = "must name the header that holds the signature, such as \"X-Signature\"; or `member` the member \
                            of the body, such as \"/signature\"";
                self.problem("header", rule);
            }
            Err(SchemeFault::Mixed) => {
                let rule = "must consist of parts {member:/a/b} if `member` says that the signature stands in the body; \
                            otherwise it must have none, and there is no `time_member`";
                self.problem("signed", rule);
            }
            Err(SchemeFault::Template(error)) => self.problem("signed", error.to_string()),
            Err(SchemeFault::Needs(part, key)) => {
                self.problem(key, format!("must be set, because {part} is signed"));
            }
            Err(SchemeFault::Unused(part, key)) => {
                let rule = format!("means nothing here, because `signed` has no {part}");
                self.problem(key, rule);
            }
        }
    }

    /// Where the signature and what belongs to it stand.
    fn check_signature_places(&mut self, hook: &Hook) {
        for (key, header) in [
            ("header", &hook.header),
            ("time_header", &hook.time_header),
            ("id_header", &hook.id_header),
        ] {
            let is_header = |name: &String| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if header.as_ref().is_some_and(|name| !is_header(name)) {
                self.problem(key, "must be the name of a header");
            }
        }
        for (key, member) in [("member", &hook.member), ("time_member", &hook.time_member)] {
            if member
                .as_ref()
                .is_some_and(|pointer| !pointer.starts_with('/'))
            {
                self.problem(key, "must be a JSON Pointer, such as \"/signature\"");
            }
        }
    }

    /// Amazon signs the messages of everybody's topics, so a signature alone says nothing.
    fn check_topics(&mut self, hook: &Hook) {
        let takes_topics = hook.pack().has_topics() && is_signed(hook);
        if !takes_topics {
            let rule = "means something for scheme = \"sns\" alone, where messages must be signed (`auth` unset, or with \
                        { type = \"signature\" })";
            for (key, is_set) in [
                ("topics", !hook.topics.is_empty()),
                ("confirm", hook.confirm),
            ] {
                if is_set {
                    self.problem(key, rule);
                }
            }
            return;
        }
        if hook.topics.is_empty() {
            let rule = "must list the topics whose messages are taken, such as \
                        [\"arn:aws:sns:eu-west-1:123456789012:sales\"], because Amazon signs those of everybody";
            self.problem("topics", rule);
        }
        for topic in hook.topics.iter().filter(|topic| !is_topic(topic)) {
            let rule = format!(
                "{topic:?} must be the ARN of a topic, such as \"arn:aws:sns:eu-west-1:123456789012:sales\""
            );
            self.problem("topics", rule);
        }
        if hook.confirm && hook.auth.len() > 1 {
            let rule = "must be off where `auth` has other ways than { type = \"signature\" }, because only a message that \
                        Amazon has signed may have a URL opened";
            self.problem("confirm", rule);
        }
    }

    fn check_url(&mut self, hook: &Hook) {
        let needs_url = |scheme: &Scheme| scheme.template.needs_url();
        let is_needed = hook.schemes().is_ok_and(|list| list.iter().any(needs_url));
        let Some(url) = &hook.public_url else {
            if is_needed {
                let rule = "must be the URL that the provider knows, because it signs it: \
                            \"https://hooks.example.com/webhook/…\"";
                self.problem("public_url", rule);
            }
            return;
        };
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if !is_url
            || url.contains(['?', '#', ' '])
            || !url
                .parse::<http::Uri>()
                .is_ok_and(|uri| uri.host().is_some())
        {
            let rule = "must be a URL without a query, such as \"https://hooks.example.com/webhook/twilio\"; the query \
                        of each request is added to it";
            self.problem("public_url", rule);
        }
        if !is_needed {
            let rule = "means nothing here, because this scheme does not sign the URL";
            self.problem("public_url", rule);
        }
    }

    /// A body of that size must fit into the memory for requests, and with its row into one write to the log.
    fn check_max_body(&mut self, hook: &Hook, max_body: u64) {
        let memory = self.config.server.memory.bytes();
        // Where another content of a known id is a conflict, its row is kept escaped.
        let copies = if hook.changed_is_duplicate() { 1 } else { 2 };
        let frame = (MAX_FRAME as u64).saturating_sub(1 << 20) / copies;
        if max_body > MAX_HOOK_BODY || max_body == 0 {
            self.problem("max_body", "must be at most 25 MiB");
        } else if max_body > frame {
            let mib = frame >> 20;
            let rule = format!(
                "must be at most {mib} MiB, or on_conflict = \"duplicate\": a row and its copy in the quarantine must \
                 fit into one write to the log"
            );
            self.problem("max_body", rule);
        } else if memory < 4 * max_body {
            let key = format!("hook.{}.max_body", self.name);
            let rule = "must be at most a quarter of server.memory; raise that";
            self.findings.problem(&[&key, "server.memory"], rule);
        }
    }

    fn check_places(&mut self, hook: &Hook) {
        let is_place = |texts: &Texts| FieldSource::parse(texts.iter()).is_some();
        let is_id = |texts: &Texts| id_of(texts.iter()).is_some();
        let rule = "must be \"header:X-Name\", or a JSON Pointer such as \"/event/id\", or a list of these";
        for (part, texts) in [
            ("type", &hook.r#type),
            ("time", &hook.time),
            ("user", &hook.user),
        ] {
            if texts.as_ref().is_some_and(|texts| !is_place(texts)) {
                self.problem(part, rule);
            }
        }
        let asks_hub = hook.questions().contains(&Challenge::Hub);
        match (&hook.verify_token, asks_hub) {
            (None, true) => {
                let rule = "must be a word of your own, which you also give to the provider (hub.verify_token)";
                self.problem("verify_token", rule);
            }
            (Some(_), false) => {
                let rule = "means nothing here, because this provider does not ask for it (challenges = [\"hub\"])";
                self.problem("verify_token", rule);
            }
            _ => {}
        }
        if let Some(max_body) = hook.max_body {
            self.check_max_body(hook, max_body.bytes());
        }
        if let Err(text) = KeptHeaders::parse(hook.headers.iter().map(String::as_str)) {
            let rule = format!(
                "{text:?} must be the name of a header without credentials, or the beginning of names with * behind it"
            );
            self.problem("headers", rule);
        }
        if hook.id.as_ref().is_some_and(|texts| !is_id(texts)) {
            let rule = format!("{rule}; \"content\" or \"none\" may stand behind it or alone");
            self.problem("id", rule);
        }
    }
}

fn is_signed(hook: &Hook) -> bool {
    let mut auth = hook.auth.iter();
    hook.auth.is_empty() || auth.any(|auth| auth.r#type == AuthKind::Signature)
}

/// Whether a text is `arn:aws:sns:<region>:<account>:<name>`, in any partition of AWS.
fn is_topic(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts.as_slice() else {
        return false;
    };
    let is_word = |text: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !text.is_empty() && text.chars().all(is_plain)
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    partition.starts_with("aws") && is_word(region) && is_account && is_word(name)
}

fn has_secrets(hook: &Hook) -> bool {
    !hook.secrets.is_empty() || hook.secrets_file.is_some()
}

/// Checks that each secret is a key of one of the schemes. The errors repeat nothing of a secret.
fn check_keys(schemes: &[Scheme], secrets: &[Secret], key: &str, findings: &mut Findings<'_>) {
    for (index, secret) in secrets.iter().enumerate() {
        let text = secret.expose();
        let is_key = |scheme: &Scheme| scheme.key_of(text).is_some();
        let rule = if !schemes.is_empty() && !schemes.iter().any(is_key) {
            wanted_key(schemes)
        } else if text.len() < MIN_SECRET_CHARS {
            "is too short; at least 8 characters".to_owned()
        } else {
            continue;
        };
        findings.problem(&[key], format!("secret {} of the list {rule}", index + 1));
    }
}

/// What a secret must be.
fn wanted_key(schemes: &[Scheme]) -> String {
    use crate::signature::{Algorithm, Encoding};
    let Some(scheme) = schemes.first() else {
        return String::new();
    };
    let encoding = match scheme.key.encoding {
        Some(Encoding::Hex) => "hexadecimal digits",
        Some(Encoding::Base64) => "base64",
        Some(Encoding::Base64Url) => "base64url",
        None => "text",
    };
    let prefix = match scheme.key.prefixes.last() {
        Some(prefix) => format!(", with or without {prefix} before it"),
        None => String::new(),
    };
    let what = match scheme.algorithm {
        Algorithm::Ed25519 => " of an Ed25519 public key",
        Algorithm::EcdsaP256 => " of a P-256 public key",
        Algorithm::RsaSha256 | Algorithm::RsaSha1 => " of an RSA public key",
        _ => "",
    };
    format!("must be {encoding}{what}{prefix}")
}
