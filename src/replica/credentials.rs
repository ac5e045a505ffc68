//! The credentials of a user of NATS, as a file holds them: a JWT and the seed of its key, as `nsc` writes them, or
//! the seed alone, for a user whose public key the servers know.
//!
//! The file is read again for each connection, so that new credentials need no restart. Nothing of it is printed.

use std::path::Path;

use async_nats::{Auth, AuthError};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};
use serde::Deserialize;

use crate::clock::Micros;

/// A seed of a user begins with these letters.
const USER_SEED: &str = "SU";

/// Why a file has no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(
        "it has no seed of a user's key, which begins with {USER_SEED}: is it a file that `nsc generate creds` has \
         written, or one with a seed alone?"
    )]
    NoSeed,
    #[error("its seed cannot be read: is it cut off?")]
    Seed,
}

/// The credentials of a user.
pub(super) struct Credentials {
    jwt: Option<String>,
    key: KeyPair,
}

/// What a JWT says, as far as it matters.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970 at which it ends.
    #[serde(default)]
    exp: Option<i64>,
}

impl Credentials {
    pub(super) fn parse(text: &str) -> Result<Self, CredentialsError> {
        // What is not a frame of dashes, or a comment.
        let mut values = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.contains(' ') && !line.starts_with('-'));
        let seed = values.clone().find(|line| line.starts_with(USER_SEED));
        let seed = seed.ok_or(CredentialsError::NoSeed)?;
        let key = KeyPair::from_seed(seed).map_err(|_| CredentialsError::Seed)?;
        if key.key_pair_type() != KeyPairType::User {
            return Err(CredentialsError::NoSeed);
        }
        let jwt = values.find(|line| line.split('.').count() == 3);
        Ok(Self {
            jwt: jwt.map(str::to_owned),
            key,
        })
    }

    async fn read(file: &Path) -> Result<Self, String> {
        let text = tokio::fs::read_to_string(file).await;
        let text = text.map_err(|error| error.to_string())?;
        Self::parse(&text).map_err(|error| error.to_string())
    }

    /// The answer to a server that asks who this is.
    fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let signature = self.key.sign(nonce).map_err(|error| error.to_string())?;
        let mut auth = Auth::new();
        auth.signature = Some(signature);
        match &self.jwt {
            Some(jwt) => auth.jwt = Some(jwt.clone()),
            None => auth.nkey = Some(self.key.public_key()),
        }
        Ok(auth)
    }

    /// When the JWT ends; `None` if it does not, or there is none.
    fn end(&self) -> Option<Micros> {
        let payload = self.jwt.as_deref()?.split('.').nth(1)?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let seconds = claims.exp.filter(|seconds| *seconds > 0)?;
        Some(Micros(seconds.checked_mul(1_000_000)?))
    }
}

/// Answers a server that asks who this is, by what the file has now.
pub(super) async fn sign(file: impl AsRef<Path>, nonce: Vec<u8>) -> Result<Auth, AuthError> {
    let credentials = Credentials::read(file.as_ref()).await;
    let answered = credentials.and_then(|credentials| credentials.answer(&nonce));
    answered.map_err(AuthError::new)
}

/// Why the credentials of a file cannot be used by anybody, if that is so.
pub(super) async fn trouble(file: &Path) -> Option<String> {
    Credentials::read(file).await.err()
}

/// When the JWT of a file ends, if it has one that does.
pub(super) async fn end_of(file: &Path) -> Option<Micros> {
    Credentials::read(file).await.ok()?.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creds(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_file_has_a_jwt_and_a_seed_or_a_seed_alone() {
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let jwt = format!(
            "e30.{}.c2ln",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":10}"#)
        );
        let both = Credentials::parse(&creds(&jwt, &seed)).unwrap();
        assert_eq!(both.end(), Some(Micros(10_000_000)));
        let auth = both.answer(b"nonce").unwrap();
        assert_eq!((auth.jwt, auth.nkey), (Some(jwt), None));
        key.verify(b"nonce", &auth.signature.unwrap()).unwrap();
        let alone = Credentials::parse(&format!("{seed}\n")).unwrap();
        let auth = alone.answer(b"nonce").unwrap();
        assert_eq!((auth.jwt, auth.nkey), (None, Some(key.public_key())));
        assert_eq!(alone.end(), None);
    }

    #[test]
    fn what_is_no_user_is_refused() {
        let account = KeyPair::new_account().seed().unwrap();
        for text in ["", "user:password", &account, &creds("a.b.c", &account)] {
            let refused = Credentials::parse(text).err();
            assert_eq!(refused, Some(CredentialsError::NoSeed), "{text}");
        }
        let seed = KeyPair::new_user().seed().unwrap();
        let cut = Credentials::parse(&seed[..seed.len() - 4]).err();
        assert_eq!(cut, Some(CredentialsError::Seed));
    }
}
