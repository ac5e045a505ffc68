//! Credentials and connections, as they are configured: plain values, and the names of their kinds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lakehook_base::secret::Secret;
use lakehook_base::signature::{Algorithm, Encoding, TimeForm};

/// How connections are opened.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// A file with the certificates to trust, instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// A file with the client's certificate.
    pub client_cert_file: Option<PathBuf>,
    /// A file with the key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// The proxy through which all connections go.
    pub proxy: Option<Secret>,
}

/// Credentials, as they are configured.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Kind of credentials.
    pub kind: AuthKind,
    /// The bearer token, the value of the header or the parameter, or the key of signatures.
    pub token: Option<Secret>,
    /// Name of the header.
    pub header: Option<String>,
    /// Name of the parameter.
    pub param: Option<String>,
    /// The user, or the OAuth2 client.
    pub user: Option<String>,
    /// The password, or the secret of the OAuth2 client.
    pub password: Option<Secret>,
    /// How OAuth2 tokens are requested.
    pub oauth: OAuthSettings,
    /// How requests are signed.
    pub signature: SignatureSettings,
}

/// How OAuth2 tokens are requested.
#[derive(Clone, Debug, Default)]
pub struct OAuthSettings {
    /// URL of the token server.
    pub token_url: Option<String>,
    /// Kind of grant.
    pub grant: GrantKind,
    /// How the client proves who it is.
    pub client_auth: ClientAuth,
    /// The scope.
    pub scope: Option<String>,
    /// Further fields of a request for a token.
    pub extra: BTreeMap<String, Secret>,
    /// The refresh token of the authorisation.
    pub refresh_token: Option<Secret>,
    /// The private key that signs assertions (`jwt-bearer`), in PEM.
    pub private_key: Option<Secret>,
    /// The name by which the token server knows that key.
    pub key_id: Option<String>,
    /// On whose behalf the assertion is made (`sub`); the client itself if not set.
    pub subject: Option<String>,
    /// The receiver that the assertion is meant for (`aud`); the token server if not set.
    pub audience: Option<String>,
    /// Further claims of an assertion.
    pub claims: BTreeMap<String, Secret>,
}

/// How requests are signed.
#[derive(Clone, Debug)]
pub struct SignatureSettings {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What is signed.
    pub template: String,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How the key is written; `None` if the text itself is the key.
    pub key_encoding: Option<Encoding>,
    /// What precedes the signature.
    pub prefix: String,
    /// Name of the header with the time of the signature.
    pub timestamp_header: Option<String>,
    /// Name of the parameter with that time, which is added before the request is signed.
    pub timestamp_param: Option<String>,
    /// How that time is written.
    pub timestamp: TimeForm,
}

impl Default for SignatureSettings {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::HmacSha256,
            template: "{body}".to_owned(),
            encoding: Encoding::Hex,
            key_encoding: None,
            prefix: String::new(),
            timestamp_header: None,
            timestamp_param: None,
            timestamp: TimeForm::Seconds,
        }
    }
}

/// Kinds of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthKind {
    /// No credentials.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`.
    Basic,
    /// A header that the configuration names.
    Header,
    /// A parameter that the configuration names.
    Query,
    /// A bearer token of an OAuth2 server (RFC 6749).
    OAuth2,
    /// A signature of each request.
    Signature,
}

/// Kinds of grants by which an OAuth2 server issues tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantKind {
    /// The client's own credentials (RFC 6749, section 4.4).
    #[default]
    ClientCredentials,
    /// A refresh token that somebody's authorisation gave (RFC 6749, section 6).
    RefreshToken,
    /// A signed assertion (RFC 7523, section 2.1).
    JwtBearer,
}

/// How a client proves to an OAuth2 server who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `Authorization: Basic …`.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
}

impl AuthKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Bearer,
        Self::Basic,
        Self::Header,
        Self::Query,
        Self::OAuth2,
        Self::Signature,
    ];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Query => "query",
            Self::OAuth2 => "oauth2",
            Self::Signature => "signature",
        }
    }
}

impl GrantKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ClientCredentials, Self::RefreshToken, Self::JwtBearer];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client-credentials",
            Self::RefreshToken => "refresh-token",
            Self::JwtBearer => "jwt-bearer",
        }
    }
}

impl ClientAuth {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Basic, Self::Body];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Body => "body",
        }
    }
}
