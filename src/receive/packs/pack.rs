//! What a pack consists of.

use crate::signature::{Algorithm, Encoding, KeyForm, Place, Scheme, Template, TimeForm};

/// Everything that is known about a provider.
#[derive(Debug)]
pub struct Pack {
    /// The word in the configuration.
    pub name: &'static str,
    /// The provider's name, for people.
    pub title: &'static str,
    /// How its requests prove where they come from; any of these does.
    pub proofs: &'static [Authenticity],
    /// Where the id of a delivery or event is: `header:X-Name` or a JSON Pointer, the first that is there; or
    /// `content`, or `none`.
    pub id: &'static [&'static str],
    /// Where the event's type is.
    pub event_type: &'static [&'static str],
    /// Where the event's time is.
    pub time: &'static [&'static str],
    /// Where the user is whom the event is about.
    pub user: &'static [&'static str],
    /// Whether it writes times in UTC without saying so.
    pub times_are_utc: bool,
    /// What its bodies are.
    pub shape: Shape,
    /// The paths that its clients post to, below the path of the hook; if there are none, the hook has a single path.
    pub routes: &'static [Route],
    /// Fields that the provider changes when it sends a delivery again.
    pub ignore: &'static [&'static str],
    /// Questions by which the provider verifies a URL.
    pub challenges: &'static [Challenge],
    /// What the secret is, and where the provider shows it.
    pub secret: &'static str,
    /// The provider's documentation.
    pub address: &'static str,
}

/// A way in which a request proves where it comes from.
#[derive(Debug)]
pub enum Authenticity {
    /// It is signed.
    Signed(Signed),
    /// It has the secret itself in this header.
    Token(&'static str),
    /// It has the secret as the user of `Authorization: Basic`, without a password.
    User,
    /// It has the secret in a member of its body; see [`Shape::Batch`].
    Member,
    /// It is a message of Amazon SNS, which Amazon signs with a certificate that the message names.
    Topics,
}

/// What the bodies of a provider are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One event, or a list of them.
    Events,
    /// An object with a list of events as its member `batch`, or one event. These members hold the secret.
    Batch(&'static [&'static str]),
    /// Events of the CloudEvents specification, in any of the modes of its binding to HTTP.
    CloudEvents,
}

/// A path that clients of a provider post to.
#[derive(Debug)]
pub struct Route {
    /// The path, which begins with a slash.
    pub path: &'static str,
    /// The type of those events that name none.
    pub event_type: &'static str,
}

/// How a provider signs; see [`Scheme`].
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How a signature is written.
    pub encoding: Encoding,
    /// How the key is written; `None` if the secret is the key.
    pub key: Option<Encoding>,
    /// What may precede the key.
    pub key_prefixes: &'static [&'static str],
    /// Whether a key must have one of these prefixes.
    pub key_needs_prefix: bool,
    /// What is signed.
    pub template: &'static str,
    /// The headers that may hold signatures.
    pub headers: &'static [&'static str],
    /// What separates the elements of such a header.
    pub separator: Option<char>,
    /// What precedes a signature.
    pub prefix: &'static str,
    /// The headers that may hold the time.
    pub time_headers: &'static [&'static str],
    /// What precedes the time.
    pub time_prefix: &'static str,
    /// How the time is written.
    pub time_form: TimeForm,
    /// The headers that may hold the signed id.
    pub id_headers: &'static [&'static str],
}

/// A question by which a provider verifies a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Slack: `{"type":"url_verification","challenge":"…"}`, which is signed; the challenge is sent back.
    Slack,
    /// Zoom: `endpoint.url_validation`, which is signed; the digest of a token is sent back.
    Zoom,
    /// Discord: a ping, which is signed.
    Discord,
    /// Twitch: a message of the type `webhook_callback_verification`, which is signed; its challenge is sent back as text.
    Twitch,
    /// Okta: `GET` with the header `x-okta-verification-challenge`, which is sent back in JSON.
    Okta,
    /// Event Grid: a `SubscriptionValidation` event; its code is sent back.
    EventGrid,
    /// WooCommerce: an unsigned form `webhook_id=…`, which is answered 200 and not stored.
    WooCommerce,
    /// Meta: `GET` with `hub.verify_token`, which must be the agreed word, and `hub.challenge`, which is sent back.
    Hub,
    /// `GET` with this parameter, which is sent back.
    Echo(&'static str),
    /// Microsoft Graph: `POST` with `validationToken` in the query, which is sent back.
    ValidationToken,
    /// Amazon SNS: a `SubscriptionConfirmation`, whose URL is logged for the operator, or opened where the configuration
    /// says so; and an `UnsubscribeConfirmation`, which is logged.
    Sns,
    /// The handshake of CloudEvents by `OPTIONS`.
    CloudEvents,
    /// `GET` or `HEAD`, which is answered 200.
    Get,
}

impl Signed {
    /// HMAC-SHA256 of the body in hexadecimal digits.
    pub const fn hex(headers: &'static [&'static str]) -> Self {
        Self {
            algorithm: Algorithm::HmacSha256,
            encoding: Encoding::Hex,
            key: None,
            key_prefixes: &[],
            key_needs_prefix: false,
            template: "{body}",
            headers,
            separator: None,
            prefix: "",
            time_headers: &[],
            time_prefix: "",
            time_form: TimeForm::Seconds,
            id_headers: &[],
        }
    }

    /// HMAC-SHA256 of the body in base64.
    pub const fn base64(headers: &'static [&'static str]) -> Self {
        Self {
            encoding: Encoding::Base64,
            ..Self::hex(headers)
        }
    }

    /// HMAC-SHA256 in hexadecimal digits, as pairs in one header that has the time too.
    pub const fn pairs(headers: &'static [&'static str], template: &'static str) -> Self {
        Self {
            template,
            separator: Some(','),
            prefix: "v1=",
            time_headers: headers,
            time_prefix: "t=",
            ..Self::hex(headers)
        }
    }

    /// The scheme. The tables are tested, so that no template in them is refused.
    pub fn scheme(&self) -> Option<Scheme> {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let place = |headers: &[&str], prefix: &str| Place {
            headers: owned(headers),
            separator: self.separator,
            prefix: prefix.to_owned(),
        };
        let alone = |headers: &[&str], prefix: &str| Place {
            separator: None,
            ..place(headers, prefix)
        };
        let shares_header = self.time_headers == self.headers;
        let timestamp = match (self.time_headers, shares_header) {
            ([], _) => None,
            (headers, true) => Some(place(headers, self.time_prefix)),
            (headers, false) => Some(alone(headers, self.time_prefix)),
        };
        Some(Scheme {
            algorithm: self.algorithm,
            encoding: self.encoding,
            key: KeyForm {
                encoding: self.key,
                prefixes: owned(self.key_prefixes),
                needs_prefix: self.key_needs_prefix,
            },
            template: Template::parse(self.template).ok()?,
            signature: place(self.headers, self.prefix),
            timestamp,
            time_form: self.time_form,
            id: (!self.id_headers.is_empty()).then(|| alone(self.id_headers, "")),
        })
    }
}

impl Pack {
    /// A pack of which nothing but the name is known.
    pub(super) const fn named(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            proofs: &[],
            id: &["content"],
            event_type: &["/type"],
            time: &[],
            user: &[],
            shape: Shape::Events,
            routes: &[],
            times_are_utc: false,
            ignore: &[],
            challenges: &[],
            secret: "",
            address: "",
        }
    }

    /// The schemes in which its requests may be signed.
    pub fn schemes(&self) -> Vec<Scheme> {
        let proofs = self.proofs.iter();
        let signed = proofs.filter_map(|proof| match proof {
            Authenticity::Signed(signed) => signed.scheme(),
            _ => None,
        });
        signed.collect()
    }

    /// The header that holds the secret itself, if the provider sends it so.
    pub fn token_header(&self) -> Option<&'static str> {
        self.proofs.iter().find_map(|proof| match proof {
            Authenticity::Token(header) => Some(*header),
            _ => None,
        })
    }

    /// The members of a body that hold the secret itself.
    pub fn secret_members(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::Batch(secrets) => secrets,
            _ => &[],
        }
    }

    /// Whether it is Amazon SNS, whose messages are signed in their bodies.
    pub fn has_topics(&self) -> bool {
        let mut proofs = self.proofs.iter();
        proofs.any(|proof| matches!(proof, Authenticity::Topics))
    }

    /// Whether the secret may be the user of `Authorization: Basic`.
    pub fn takes_user(&self) -> bool {
        let mut proofs = self.proofs.iter();
        proofs.any(|proof| matches!(proof, Authenticity::User))
    }

    /// Whether the public URL is signed, and so must be configured.
    pub fn needs_url(&self) -> bool {
        let schemes = self.schemes();
        schemes.iter().any(|scheme| scheme.template.needs_url())
    }
}
