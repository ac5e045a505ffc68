//! `[hook.NAME]`: webhooks of providers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amounts::Span;
use super::words::{self, Word};
use crate::receive::scheme::{FieldSource, Scheme};
use crate::secret::Secret;

/// `[hook.NAME]`: one provider; the name is the source of its events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// How it signs.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SchemeName>")]
    pub scheme: SchemeName,
    /// Where it posts to; by default `/webhook/<NAME>`.
    pub path: Option<String>,
    /// Secrets that it signs with; several while one replaces another.
    pub secrets: Vec<Secret>,
    /// A file of further secrets, one a line.
    #[schemars(length(min = 1))]
    pub secrets_file: Option<PathBuf>,
    /// How far the signed time may be from now.
    pub tolerance: Span,
    /// For `hmac`: the header that holds the signature.
    pub header: Option<String>,
    /// For `hmac`: what precedes the signature.
    pub prefix: String,
    /// For `hmac`: the encoding of the signature.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SignatureEncoding>")]
    pub encoding: SignatureEncoding,
    /// Where the event's id is: `header:X-Name`, or a JSON Pointer.
    pub id: Option<String>,
    /// Where its type is.
    pub r#type: Option<String>,
    /// Where its time is.
    pub time: Option<String>,
}

/// Names of schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeName {
    /// Standard Webhooks.
    Standard,
    /// GitHub.
    GitHub,
    /// Stripe.
    Stripe,
    /// Shopify.
    Shopify,
    /// Slack.
    Slack,
    /// HMAC-SHA256 of the body in a header.
    Hmac,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Hexadecimal.
    Hex,
    /// Base64.
    Base64,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            scheme: SchemeName::Standard,
            path: None,
            secrets: Vec::new(),
            secrets_file: None,
            tolerance: Span::seconds(300),
            header: None,
            prefix: String::new(),
            encoding: SignatureEncoding::Hex,
            id: None,
            r#type: None,
            time: None,
        }
    }
}

impl Word for SchemeName {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("standard", Self::Standard),
            ("github", Self::GitHub),
            ("stripe", Self::Stripe),
            ("shopify", Self::Shopify),
            ("slack", Self::Slack),
            ("hmac", Self::Hmac),
        ]
    }
}

impl Word for SignatureEncoding {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("hex", Self::Hex), ("base64", Self::Base64)]
    }
}

impl Hook {
    /// Its path.
    pub fn path(&self, name: &str) -> String {
        let default = || format!("/webhook/{name}");
        self.path.clone().unwrap_or_else(default)
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        match self.scheme {
            SchemeName::Standard => Scheme::Standard,
            SchemeName::GitHub => Scheme::GitHub,
            SchemeName::Stripe => Scheme::Stripe,
            SchemeName::Shopify => Scheme::Shopify,
            SchemeName::Slack => Scheme::Slack,
            SchemeName::Hmac => Scheme::Plain {
                header: self.header.clone().unwrap_or_default().to_lowercase(),
                prefix: self.prefix.clone(),
                is_base64: self.encoding == SignatureEncoding::Base64,
            },
        }
    }

    /// Where id, type and time are.
    pub fn places(&self) -> [FieldSource; 3] {
        let [id, kind, time] = self.scheme().fields();
        let own = |text: &Option<String>, default: FieldSource| {
            let own = text.as_deref().and_then(FieldSource::parse);
            own.unwrap_or(default)
        };
        [
            own(&self.id, id),
            own(&self.r#type, kind),
            own(&self.time, time),
        ]
    }
}
