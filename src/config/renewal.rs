//! Reads the files of tokens and secrets again, of a configuration that was loaded before.

use sha2::{Digest as _, Sha256};

use super::checks;
use super::errors::ConfigErrors;
use super::findings::Findings;
use super::hook_checks;
use super::sections::Config;
use super::sources::Sources;
use crate::secret::Secret;

impl Config {
    /// Whether any token or secret of senders is in a file.
    pub fn has_secret_files(&self) -> bool {
        let of_hooks = self.hook.values().any(|hook| {
            let mut auth = hook.auth.iter();
            hook.secrets_file.is_some()
                || auth.any(|auth| auth.secrets_file.is_some() || auth.keys_file.is_some())
        });
        let of_server = [&self.server.tokens_file, &self.server.console_token_file];
        let of_server = of_server.iter().any(|file| file.is_some());
        of_hooks || of_server || self.events.signing_secrets_file.is_some()
    }

    /// The same configuration with what its files of tokens and secrets hold now; `None` if that is what they held.
    /// The error says why they cannot be used, and repeats nothing of them.
    pub fn renewed(&self) -> Result<Option<Box<Self>>, ConfigErrors> {
        let mut config = Box::new(self.clone());
        config.forget_files();
        let sources = Sources::default();
        let mut findings = Findings::new(&sources, Vec::new());
        checks::read_tokens(&mut config, &mut findings);
        hook_checks::read_secrets(&mut config, &mut findings);
        hook_checks::check(&config, &mut findings);
        let (problems, _warnings_of_the_start) = findings.into_parts();
        if !problems.is_empty() {
            return Err(ConfigErrors { problems });
        }
        Ok((config.digest() != self.digest()).then_some(config))
    }

    /// Leaves only those secrets that are in the configuration itself.
    fn forget_files(&mut self) {
        self.server.tokens.truncate(self.server.own_tokens);
        self.server.console_tokens.clear();
        let events = &mut self.events;
        events.signing_secrets.truncate(events.own_signing_secrets);
        for hook in self.hook.values_mut() {
            hook.secrets.truncate(hook.own_secrets);
            for auth in &mut hook.auth {
                auth.secrets.truncate(auth.own_secrets);
                auth.keys = None;
            }
        }
    }

    /// A hash of all tokens and secrets of senders, which reveals nothing of them.
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |secrets: &[Secret]| {
            hash.update(secrets.len().to_le_bytes());
            for secret in secrets {
                let text = secret.expose();
                hash.update(text.len().to_le_bytes());
                hash.update(text);
            }
        };
        add(&self.server.tokens);
        add(&self.server.console_tokens);
        add(&self.events.signing_secrets);
        for hook in self.hook.values() {
            add(&hook.secrets);
            for auth in &hook.auth {
                add(&auth.secrets);
                add(auth.keys.as_slice());
            }
        }
        hash.finalize().into()
    }
}
