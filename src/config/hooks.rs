//! `[hook.NAME]`: webhooks of providers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amounts::Span;
use super::words::{self, Word};
use crate::receive::scheme::{FieldSource, Scheme};
use crate::secret::Secret;

/// `[hook.NAME]`: the webhook of one provider. Its name is the `source` of its events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// How the provider signs its requests.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SchemeName>")]
    pub scheme: SchemeName,
    /// The path that the provider posts to; by default `/webhook/<NAME>`.
    pub path: Option<String>,
    /// Secrets that the provider signs with. There may be several, so that one can replace another.
    pub secrets: Vec<Secret>,
    /// A file of further secrets, one per line.
    #[schemars(length(min = 1))]
    pub secrets_file: Option<PathBuf>,
    /// How far the time in the signature may be from now.
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
    /// Where the event's type is: `header:X-Name`, or a JSON Pointer.
    pub r#type: Option<String>,
    /// Where the event's time is: `header:X-Name`, or a JSON Pointer.
    pub time: Option<String>,
}

/// The signature schemes, by the name that the configuration uses.
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
    /// The path of the hook that has this name.
    pub fn path(&self, name: &str) -> String {
        let default = || format!("/webhook/{name}");
        self.path.clone().unwrap_or_else(default)
    }

    /// The signature scheme, with its settings.
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

    /// Where the event's id, type and time are.
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
