//! The rules of credentials: which keys belong to which kind, and the files of secrets.

use std::path::{Path, PathBuf};

use super::auth::Auth;
use super::findings::Findings;
use super::rules::is_unencrypted;
use super::secret_file::SecretFile;
use crate::poll::definition::{AuthKind, GrantKind};
use crate::secret::Secret;

/// Which kinds of credentials need or take a key.
struct Use {
    key: &'static str,
    is_set: bool,
    needed: bool,
    allowed: bool,
}

/// Reads the files of secrets that `auth` of this section names.
pub(super) fn read_secrets(section: &str, auth: &mut Auth, findings: &mut Findings<'_>) {
    for (key, file, secret) in [
        ("token", &auth.token_file, &mut auth.token),
        ("password", &auth.password_file, &mut auth.password),
        (
            "refresh_token",
            &auth.refresh_token_file,
            &mut auth.refresh_token,
        ),
    ] {
        let Some(path) = file else { continue };
        let file_key = format!("{section}.auth.{key}_file");
        if secret.is_some() {
            let value_key = format!("{section}.auth.{key}");
            let rule = format!("{file_key} and {value_key} are both set; remove one");
            findings.problem(&[&file_key, &value_key], rule);
            continue;
        }
        *secret = read_secret(path, &file_key, findings);
    }
    if let Some(path) = &auth.private_key_file {
        let key = format!("{section}.auth.private_key_file");
        auth.private_key = read_key(path, &key, findings);
    }
}

pub(super) fn read_secret(path: &Path, key: &str, findings: &mut Findings<'_>) -> Option<Secret> {
    let shown = path.display();
    let file = match SecretFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            findings.problem(&[key], format!("{shown} cannot be read: {error}"));
            return None;
        }
    };
    warn_if_open(file.is_open_to_others, path, key, findings);
    if file.secrets.len() != 1 {
        let rule = format!("{shown} must hold one line, which is the secret");
        findings.problem(&[key], rule);
    }
    file.secrets.into_iter().next().map(|(_, secret)| secret)
}

/// Reads a key in PEM, which has several lines.
fn read_key(path: &Path, key: &str, findings: &mut Findings<'_>) -> Option<Secret> {
    match SecretFile::read(path) {
        Ok(file) => {
            warn_if_open(file.is_open_to_others, path, key, findings);
            let lines = file.secrets.iter().map(|(_, line)| line.expose());
            Some(Secret::new(lines.collect::<Vec<_>>().join("\n")))
        }
        Err(error) => {
            let rule = format!("{} cannot be read: {error}", path.display());
            findings.problem(&[key], rule);
            None
        }
    }
}

fn warn_if_open(is_open: bool, path: &Path, key: &str, findings: &mut Findings<'_>) {
    if is_open {
        let shown = path.display();
        let text = format!("{shown} can be read by others than its owner; chmod 600 it");
        findings.warning(key, &text);
    }
}

/// The files that `auth` names.
pub(super) fn files(auth: &mut Auth) -> [&mut Option<PathBuf>; 4] {
    [
        &mut auth.token_file,
        &mut auth.password_file,
        &mut auth.refresh_token_file,
        &mut auth.private_key_file,
    ]
}

/// Checks `auth` of this section.
pub(super) fn check(section: &str, auth: &Auth, findings: &mut Findings<'_>) {
    let key = |name: &str| format!("{section}.auth.{name}");
    for own in uses(auth) {
        if !own.is_set && own.needed {
            findings.problem(&[&key(own.key)], "must be set for this auth.type");
        }
        if own.is_set && !own.needed && !own.allowed {
            let what = match auth.r#type {
                AuthKind::None => "this auth.type; set auth.type",
                AuthKind::OAuth2 => "this auth.grant",
                _ => "this auth.type",
            };
            let rule = format!("auth.{} means nothing for {what}", own.key);
            findings.problem(&[&key(own.key), &key("type")], rule);
        }
    }
    if auth.token_url.as_deref().is_some_and(is_unencrypted) {
        let text = "the client's secret is sent unencrypted; use https";
        findings.warning(&key("token_url"), text);
    }
    for (name, secret) in [
        ("token", &auth.token),
        ("password", &auth.password),
        ("refresh_token", &auth.refresh_token),
    ] {
        let text = secret.as_ref().map_or("-", Secret::expose);
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            let rule = "may hold only visible ASCII characters, and at least one";
            findings.problem(&[&key(name)], rule);
        }
    }
    if auth
        .algorithm
        .is_some_and(|algorithm| !algorithm.is_symmetric())
    {
        let rule = "is an algorithm by whose public key signatures are verified, and none are made; choose \
                    one of HMAC";
        findings.problem(&[&key("algorithm")], rule);
    }
    let signs_time = auth
        .template
        .as_deref()
        .is_some_and(|text| text.contains("{timestamp}"));
    if auth.timestamp_header.is_none() && auth.timestamp_param.is_none() && signs_time {
        let rule = "auth.template signs {timestamp}, so auth.timestamp_header or auth.timestamp_param must \
                    say where it is sent";
        findings.problem(&[&key("template")], rule);
    }
    for (header, param) in [("header", "param"), ("timestamp_header", "timestamp_param")] {
        let both = match header {
            "header" => auth.header.is_some() && auth.param.is_some(),
            _ => auth.timestamp_header.is_some() && auth.timestamp_param.is_some(),
        };
        if both && auth.r#type == AuthKind::Signature {
            let rule = format!("auth.{header} and auth.{param} are both set; remove one");
            findings.problem(&[&key(header), &key(param)], rule);
        }
    }
}

fn uses(auth: &Auth) -> Vec<Use> {
    let all = uses_of_fixed(auth).into_iter();
    let all = all.chain(uses_of_oauth(auth));
    all.chain(uses_of_signatures(auth)).collect()
}

fn row(key: &'static str, is_set: bool, needed: bool, allowed: bool) -> Use {
    Use {
        key,
        is_set,
        needed,
        allowed,
    }
}

fn uses_of_fixed(auth: &Auth) -> [Use; 5] {
    use AuthKind::{Basic, Bearer, Header, OAuth2, Query, Signature};
    let is = |kinds: &[AuthKind]| kinds.contains(&auth.r#type);
    let token = auth.token.is_some() || auth.token_file.is_some();
    let password = auth.password.is_some() || auth.password_file.is_some();
    let own = is(&[OAuth2]) && auth.grant() == GrantKind::ClientCredentials;
    let has_token = is(&[Bearer, Header, Query, Signature]);
    [
        row("token", token, has_token, false),
        row(
            "header",
            auth.header.is_some(),
            is(&[Header]),
            is(&[Signature]),
        ),
        row(
            "param",
            auth.param.is_some(),
            is(&[Query]),
            is(&[Signature]),
        ),
        row("user", auth.user.is_some(), is(&[Basic, OAuth2]), false),
        row("password", password, own, is(&[Basic, OAuth2])),
    ]
}

fn uses_of_oauth(auth: &Auth) -> [Use; 11] {
    let is_oauth = auth.r#type == AuthKind::OAuth2;
    let is_refresh = is_oauth && auth.grant() == GrantKind::RefreshToken;
    let is_jwt = is_oauth && auth.grant() == GrantKind::JwtBearer;
    let has_secret = auth.password.is_some() || auth.password_file.is_some();
    let refreshes = auth.refresh_token.is_some() || auth.refresh_token_file.is_some();
    let (client_auth, key) = (auth.client_auth.is_some(), auth.private_key_file.is_some());
    [
        row("token_url", auth.token_url.is_some(), is_oauth, false),
        row("grant", auth.grant.is_some(), false, is_oauth),
        row("client_auth", client_auth, false, is_oauth && has_secret),
        row("scope", auth.scope.is_some(), false, is_oauth),
        row("extra", !auth.extra.is_empty(), false, is_oauth),
        row("refresh_token", refreshes, is_refresh, false),
        row("private_key_file", key, is_jwt, false),
        row("key_id", auth.key_id.is_some(), false, is_jwt),
        row("subject", auth.subject.is_some(), false, is_jwt),
        row("audience", auth.audience.is_some(), false, is_jwt),
        row("claims", !auth.claims.is_empty(), false, is_jwt),
    ]
}

fn uses_of_signatures(auth: &Auth) -> [Use; 8] {
    let is_signed = auth.r#type == AuthKind::Signature;
    let has_time = auth.timestamp_header.is_some() || auth.timestamp_param.is_some();
    [
        row("algorithm", auth.algorithm.is_some(), false, is_signed),
        row("template", auth.template.is_some(), is_signed, false),
        row("encoding", auth.encoding.is_some(), false, is_signed),
        row(
            "key_encoding",
            auth.key_encoding.is_some(),
            false,
            is_signed,
        ),
        row("prefix", auth.prefix.is_some(), false, is_signed),
        row(
            "timestamp_header",
            auth.timestamp_header.is_some(),
            false,
            is_signed,
        ),
        row(
            "timestamp_param",
            auth.timestamp_param.is_some(),
            false,
            is_signed,
        ),
        row(
            "timestamp",
            auth.timestamp.is_some(),
            false,
            is_signed && has_time,
        ),
    ]
}
