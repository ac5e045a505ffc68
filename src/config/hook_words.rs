//! Settings of hooks that are words, or one text or several.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::words::Word;
use crate::receive::packs::{Challenge, PACKS, Pack};
use crate::signature::{Algorithm, Encoding};

/// The scheme of a hook: one of the packs.
#[derive(Clone, Copy, Debug)]
pub struct SchemeName(pub &'static Pack);

impl SchemeName {
    /// All names.
    pub fn names() -> Vec<&'static str> {
        PACKS.iter().map(|pack| pack.name).collect()
    }
}

impl PartialEq for SchemeName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for SchemeName {}

/// How the secrets of a hook are written; `None` if they are the keys themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEncoding(pub Option<Encoding>);

/// A way in which a request may prove where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthKind {
    /// As `scheme` says, with the secrets of the hook.
    #[default]
    Signature,
    /// A secret in a header.
    Header,
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
    /// A secret as a parameter of the URL.
    Query,
    /// A secret in a member of the body.
    Member,
    /// A JSON Web Token.
    Jwt,
    /// None.
    None,
}

/// A question by which a provider verifies a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionName(pub Challenge);

impl Word for QuestionName {
    fn words() -> Vec<(&'static str, Self)> {
        [
            ("hub", Challenge::Hub),
            ("validation-token", Challenge::ValidationToken),
            ("cloudevents", Challenge::CloudEvents),
            ("event-grid", Challenge::EventGrid),
            ("okta", Challenge::Okta),
            ("get", Challenge::Get),
        ]
        .map(|(word, challenge)| (word, Self(challenge)))
        .to_vec()
    }
}

/// What becomes of an event with a known id and other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It is a duplicate.
    Duplicate,
    /// It goes to the quarantine.
    Quarantine,
}

/// One text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// One text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl Texts {
    /// The texts, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter().map(String::as_str)
    }
}

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
        })
    }
}

impl Word for SchemeName {
    fn words() -> Vec<(&'static str, Self)> {
        PACKS.iter().map(|pack| (pack.name, Self(pack))).collect()
    }
}

impl Word for OnConflict {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("duplicate", Self::Duplicate),
            ("quarantine", Self::Quarantine),
        ]
    }
}

impl Word for AuthKind {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("signature", Self::Signature),
            ("header", Self::Header),
            ("bearer", Self::Bearer),
            ("basic", Self::Basic),
            ("query", Self::Query),
            ("member", Self::Member),
            ("jwt", Self::Jwt),
            ("none", Self::None),
        ]
    }
}

impl Word for Encoding {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("hex", Self::Hex),
            ("base64", Self::Base64),
            ("base64url", Self::Base64Url),
        ]
    }
}

impl Word for KeyEncoding {
    fn words() -> Vec<(&'static str, Self)> {
        let encodings = Encoding::words().into_iter();
        let encoded = encodings.map(|(word, encoding)| (word, Self(Some(encoding))));
        std::iter::once(("text", Self(None)))
            .chain(encoded)
            .collect()
    }
}

impl Word for Algorithm {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("sha256", Self::HmacSha256),
            ("sha384", Self::HmacSha384),
            ("sha512", Self::HmacSha512),
            ("sha1", Self::HmacSha1),
            ("ed25519", Self::Ed25519),
            ("ecdsa-p256", Self::EcdsaP256),
            ("rsa-sha256", Self::RsaSha256),
        ]
    }
}
