//! Which keys the S3 server knows: one at a time, which can be replaced while it runs.

use std::sync::{Arc, Mutex};

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::KEY;

/// The access key that is known, and its secret. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Keys(Arc<Mutex<(String, String)>>);

impl Keys {
    /// Those of the laboratory.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new((KEY.to_owned(), KEY.to_owned()))))
    }

    /// From now on only this one is known.
    pub(super) fn replace(&self, access: &str, secret: &str) {
        *self.0.lock().expect("no holder panics") = (access.to_owned(), secret.to_owned());
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access: &str) -> S3Result<SecretKey> {
        let keys = self.0.lock().expect("no holder panics");
        if keys.0 == access {
            Ok(SecretKey::from(keys.1.as_str()))
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}
