//! `auth` of polls and APIs: credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::rules;
use super::words;
use crate::poll::definition::{
    AuthKind, ClientAuth, Credentials, GrantKind, OAuthSettings, SignatureSettings,
};
use crate::secret::Secret;
use crate::signature::{Algorithm, Encoding, TimeForm};

/// `[poll.NAME.auth]` and `[api.NAME.auth]`: credentials, sent to the origin of the URL alone.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The kind of credentials.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<AuthKind>")]
    pub r#type: AuthKind,
    /// The bearer token, the value of the header or parameter, or the key of signatures.
    pub token: Option<Secret>,
    /// A file that holds the token.
    #[schemars(length(min = 1))]
    pub token_file: Option<PathBuf>,
    /// The name of the header that holds the token or the signature.
    #[validate(custom(function = rules::credentials_header))]
    pub header: Option<String>,
    /// The name of the parameter that holds the token or the signature.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub param: Option<String>,
    /// The user, or the OAuth2 client.
    pub user: Option<String>,
    /// The password, or the OAuth2 client's secret.
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[schemars(length(min = 1))]
    pub password_file: Option<PathBuf>,
    /// The URL that issues OAuth2 tokens.
    #[validate(custom(function = rules::request_url))]
    pub token_url: Option<String>,
    /// The kind of OAuth2 grant.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<GrantKind>")]
    pub grant: Option<GrantKind>,
    /// How the OAuth2 client proves who it is.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<ClientAuth>")]
    pub client_auth: Option<ClientAuth>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// Further fields of a request for a token.
    pub extra: BTreeMap<String, Secret>,
    /// The refresh token of an authorisation.
    pub refresh_token: Option<Secret>,
    /// A file that holds the refresh token.
    #[schemars(length(min = 1))]
    pub refresh_token_file: Option<PathBuf>,
    /// A file that holds the key of assertions, in PEM.
    #[schemars(length(min = 1))]
    pub private_key_file: Option<PathBuf>,
    /// What that file holds.
    #[serde(skip)]
    #[schemars(skip)]
    pub private_key: Option<Secret>,
    /// The name of that key.
    pub key_id: Option<String>,
    /// For whom is asserted; default: the client.
    pub subject: Option<String>,
    /// Who is to believe the assertion; default: the URL that issues tokens.
    pub audience: Option<String>,
    /// Further claims of the assertion.
    pub claims: BTreeMap<String, Secret>,
    /// The algorithm of signatures.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<Algorithm>")]
    pub algorithm: Option<Algorithm>,
    /// What is signed.
    #[validate(custom(function = rules::signature_template))]
    pub template: Option<String>,
    /// How the signature is written.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<Encoding>")]
    pub encoding: Option<Encoding>,
    /// How the key is written; default: its text is the key.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<Encoding>")]
    pub key_encoding: Option<Encoding>,
    /// What precedes the signature.
    pub prefix: Option<String>,
    /// The name of the header with the time of the signature.
    #[validate(custom(function = rules::credentials_header))]
    pub timestamp_header: Option<String>,
    /// The name of the parameter with that time instead.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub timestamp_param: Option<String>,
    /// How that time is written.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<TimeForm>")]
    pub timestamp: Option<TimeForm>,
}

impl Auth {
    /// The kind of OAuth2 grant.
    pub fn grant(&self) -> GrantKind {
        self.grant.unwrap_or_default()
    }

    /// Whether requests get this header, in lower case, from the credentials.
    pub(super) fn sets_header(&self, name: &str) -> bool {
        match self.r#type {
            AuthKind::None | AuthKind::Query => false,
            AuthKind::Bearer | AuthKind::Basic | AuthKind::OAuth2 => name == "authorization",
            AuthKind::Header | AuthKind::Signature => {
                let mut own = self.header.iter().chain(&self.timestamp_header);
                own.any(|own| own.eq_ignore_ascii_case(name))
            }
        }
    }

    /// The credentials without their files, whose contents were read when the configuration was loaded.
    pub(super) fn credentials(&self) -> Credentials {
        let default = SignatureSettings::default();
        Credentials {
            kind: self.r#type,
            token: self.token.clone(),
            header: self.header.clone(),
            param: self.param.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            oauth: OAuthSettings {
                token_url: self.token_url.clone(),
                grant: self.grant(),
                client_auth: self.client_auth.unwrap_or_default(),
                scope: self.scope.clone(),
                extra: self.extra.clone(),
                refresh_token: self.refresh_token.clone(),
                private_key: self.private_key.clone(),
                key_id: self.key_id.clone(),
                subject: self.subject.clone(),
                audience: self.audience.clone(),
                claims: self.claims.clone(),
            },
            signature: SignatureSettings {
                algorithm: self.algorithm.unwrap_or(default.algorithm),
                template: self.template.clone().unwrap_or(default.template),
                encoding: self.encoding.unwrap_or(default.encoding),
                key_encoding: self.key_encoding,
                prefix: self.prefix.clone().unwrap_or_default(),
                timestamp_header: self.timestamp_header.clone(),
                timestamp_param: self.timestamp_param.clone(),
                timestamp: self.timestamp.unwrap_or(default.timestamp),
            },
        }
    }
}
