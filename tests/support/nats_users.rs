//! Users of NATS servers, as an operator makes them with `nsc`: an account with JetStream, and users of it whose JWTs
//! say what they may do, and until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator, and an account.
pub(crate) struct Operator {
    own: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

/// What a user may do, and until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(crate) publish: Vec<String>,
    pub(crate) subscribe: Vec<String>,
    /// How long from now on; for ever without it. Less than nothing: it is over.
    pub(crate) seconds: Option<i64>,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            own: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// What the servers must know.
    pub(crate) fn config(&self) -> String {
        let own =
            json!({"type": "operator", "version": 2, "system_account": self.system.public_key()});
        let operator = jwt(&self.own, &self.own, "operator", (own, None));
        let (system, account) = (
            self.account_jwt(&self.system, 0),
            self.account_jwt(&self.account, -1),
        );
        format!(
            "operator: \"{operator}\"\nsystem_account: \"{0}\"\nresolver: MEMORY\n\
             resolver_preload: {{\n{0}: \"{system}\"\n{1}: \"{account}\"\n}}\n",
            self.system.public_key(),
            self.account.public_key()
        )
    }

    fn account_jwt(&self, account: &KeyPair, storage: i64) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        });
        let own = json!({"type": "account", "version": 2, "limits": limits});
        jwt(&self.own, account, "account", (own, None))
    }

    /// The credentials of a new user, as a file.
    pub(crate) fn user(&self, rights: &Rights) -> String {
        let user = KeyPair::new_user();
        let own = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {"allow": rights.publish}, "sub": {"allow": rights.subscribe},
        });
        let end = rights.seconds.map(|seconds| now() + seconds);
        let jwt = jwt(&self.account, &user, "user", (own, end));
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n\
             {}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        )
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap()
}

fn jwt(
    issuer: &KeyPair,
    subject: &KeyPair,
    name: &str,
    (own, end): (Value, Option<i64>),
) -> String {
    let mut claims = json!({
        "jti": name, "iat": now(), "iss": issuer.public_key(), "sub": subject.public_key(), "name": name, "nats": own,
    });
    if let Some(end) = end {
        claims["exp"] = end.into();
    }
    let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!(
        "{head}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
