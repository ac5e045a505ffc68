//! `[api.NAME]`: what the polls of one API share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::Span;
use super::auth::Auth;
use super::rate::Rate;
use super::rules;
use crate::poll::definition::Connection;
use crate::secret::Secret;

/// `[api.NAME]`: an API with one set of credentials and one rate of requests for all its polls.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The URL that every path of a poll follows.
    #[validate(custom(function = rules::base_url))]
    pub url: String,
    /// Parameters of every request.
    pub query: BTreeMap<String, Secret>,
    /// Headers of every request to the origin of `url`.
    pub headers: BTreeMap<String, Secret>,
    /// The credentials of requests.
    #[validate(nested)]
    pub auth: Auth,
    /// The most requests of all polls together.
    pub rate_limit: Rate,
    /// How long making a connection may take.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub connect_timeout: Span,
    /// Other hosts that redirects and links may lead to.
    #[validate(custom(function = rules::hosts))]
    pub allow_hosts: Vec<String>,
    /// A file with the certificates to trust, instead of those of the system.
    #[schemars(length(min = 1))]
    pub ca_file: Option<PathBuf>,
    /// A file with the client's certificate.
    #[schemars(length(min = 1))]
    pub client_cert_file: Option<PathBuf>,
    /// A file with the key of that certificate.
    #[schemars(length(min = 1))]
    pub client_key_file: Option<PathBuf>,
    /// The proxy through which all connections go.
    pub proxy: Option<Secret>,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            url: String::new(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            auth: Auth::default(),
            rate_limit: Rate::default(),
            connect_timeout: Span::seconds(10),
            allow_hosts: Vec::new(),
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            proxy: None,
        }
    }
}

impl Api {
    /// The URL of a path.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// How connections are opened.
    pub(super) fn connection(&self) -> Connection {
        Connection {
            connect_timeout: self.connect_timeout.duration(),
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.clone(),
            client_key_file: self.client_key_file.clone(),
            proxy: self.proxy.clone(),
        }
    }
}
