//! The rules of how senders of a hook prove who they are.

use super::hook_checks::{HookFindings, MIN_SECRET_CHARS};
use super::hook_words::AuthKind;
use super::hooks::{Hook, HookAuth};
use crate::signature::Scheme;
use crate::signature::jwt::JwtKeys;

impl HookFindings<'_, '_> {
    pub(super) fn check_auth(&mut self, hook: &Hook) {
        for (index, auth) in hook.auth.iter().enumerate() {
            for rule in faults_of(auth) {
                self.problem("auth", format!("entry {}: {rule}", index + 1));
            }
            if auth.r#type == AuthKind::None {
                self.check_open(auth);
            }
        }
        let has = |kind: AuthKind| hook.auth.iter().any(|auth| auth.r#type == kind);
        let is_in_body = || {
            hook.schemes()
                .is_ok_and(|list| list.iter().any(Scheme::is_in_body))
        };
        let by_members = has(AuthKind::Member) || has(AuthKind::Signature) && is_in_body();
        let by_body = has(AuthKind::Jwt) || has(AuthKind::Signature) && !is_in_body();
        if by_members && by_body {
            let rule = "has a secret or signature in the body beside a signature or token of all of it; only one of them \
                        can decide about a body";
            self.problem("auth", rule);
        }
        if hook.auth.len() > 1 && has(AuthKind::None) {
            let rule = "has { type = \"none\" } beside others, which makes those meaningless";
            self.problem("auth", rule);
        }
    }

    /// A hook that takes whatever arrives must be out of reach of strangers.
    fn check_open(&mut self, auth: &HookAuth) {
        let path = format!("hook.{}.auth", self.name);
        if auth.behind_proxy {
            let text = format!(
                "hook.{} takes whatever reaches it; a proxy in front must authenticate senders, and this address \
                 must be reachable through it alone",
                self.name
            );
            self.findings.warning(&path, &text);
        } else if self.config.server.listen.ip().is_loopback() {
            let text = format!(
                "hook.{} takes whatever a program on this machine sends",
                self.name
            );
            self.findings.warning(&path, &text);
        } else {
            let rule = "takes type = \"none\" only if server.listen is a loopback address, or with behind_proxy = true, \
                        which says that a proxy in front authenticates senders";
            self.findings.problem(&[&path], rule);
        }
    }
}

/// What is wrong with a way of authentication.
fn faults_of(auth: &HookAuth) -> Vec<String> {
    let mut faults = Vec::new();
    let has_secrets = !auth.secrets.is_empty() || auth.secrets_file.is_some();
    let takes_secrets = matches!(
        auth.r#type,
        AuthKind::Header | AuthKind::Bearer | AuthKind::Basic | AuthKind::Query | AuthKind::Member
    );
    match (takes_secrets, has_secrets) {
        (_, _) if auth.r#type == AuthKind::Jwt => {
            faults.extend(faults_of_tokens(auth, has_secrets));
        }
        (true, false) => faults.push("needs secrets or secrets_file".to_owned()),
        (false, true) => {
            let rule = "has secrets that mean nothing here; a signature uses those of the hook";
            faults.push(rule.to_owned());
        }
        _ => {}
    }
    faults.extend(faults_of_places(auth));
    let is_set = auth.keys_file.is_some() || !auth.claims.is_empty() || auth.body_hash.is_some();
    if auth.r#type != AuthKind::Jwt && (is_set || auth.in_body) {
        let rule =
            "keys_file, claims, body_hash and in_body mean something for type = \"jwt\" alone";
        faults.push(rule.to_owned());
    }
    if auth.behind_proxy && auth.r#type != AuthKind::None {
        faults.push("behind_proxy means something for type = \"none\" alone".to_owned());
    }
    for (index, secret) in auth.secrets.iter().enumerate() {
        let text = secret.expose();
        if text.len() < MIN_SECRET_CHARS {
            let number = index + 1;
            faults.push(format!(
                "secret {number} is too short; at least 8 characters"
            ));
        }
        if auth.r#type == AuthKind::Basic && !text.contains(':') {
            faults.push(format!("secret {} must be user:password", index + 1));
        }
    }
    faults
}

/// What is wrong with where a way of authentication looks for the secret.
fn faults_of_places(auth: &HookAuth) -> Vec<String> {
    let is_header = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    let is_word = |name: &str| !name.is_empty() && !name.contains(['/', '&', '=', ' ']);
    let is_right = |key: &str, name: &str| match key {
        "header" => is_header(name),
        _ => is_word(name),
    };
    let places = [
        (
            "header",
            &auth.header,
            AuthKind::Header,
            "header",
            "X-Token",
        ),
        (
            "parameter",
            &auth.parameter,
            AuthKind::Query,
            "query",
            "token",
        ),
        (
            "member",
            &auth.member,
            AuthKind::Member,
            "member",
            "passcode",
        ),
    ];
    let is_token = auth.r#type == AuthKind::Jwt;
    let faults = places
        .into_iter()
        .filter_map(|(key, value, of, kind, example)| match value {
            None if auth.r#type == of => Some(format!("needs {key}, such as \"{example}\"")),
            Some(_) if auth.r#type != of && !(key == "header" && is_token) => {
                Some(format!("{key} means something for type = \"{kind}\" alone"))
            }
            Some(name) if !is_right(key, name) => {
                Some(format!("{key} must be a name, such as \"{example}\""))
            }
            _ => None,
        });
    faults.collect()
}

/// What is wrong with how tokens are checked.
fn faults_of_tokens(auth: &HookAuth, has_secrets: bool) -> Vec<String> {
    let mut faults = Vec::new();
    match (&auth.keys_file, has_secrets) {
        (None, false) => {
            let rule = "needs keys_file, with the public keys of the issuer, or secrets, which you share with the sender";
            faults.push(rule.to_owned());
        }
        (Some(_), true) => {
            faults.push("has keys_file and secrets; only one of them can verify tokens".to_owned());
        }
        _ => {}
    }
    let is_for_one = !auth.claims.is_empty() || auth.body_hash.is_some() || auth.in_body;
    if auth.keys_file.is_some() && !is_for_one {
        let rule = "needs claims, such as { aud = \"https://hooks.example.com\" }, or body_hash, because an issuer signs \
                    tokens for others too";
        faults.push(rule.to_owned());
    }
    if auth.in_body && (auth.header.is_some() || auth.body_hash.is_some()) {
        faults.push(
            "in_body says that the token is the body; header and body_hash mean nothing then"
                .to_owned(),
        );
    }
    if let Some(keys) = &auth.keys
        && let Err(error) = JwtKeys::of_set(keys.expose())
    {
        faults.push(format!("keys_file cannot be used: {error}"));
    }
    faults
}
