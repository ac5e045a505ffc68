//! `[hook.NAME]`: webhooks of providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amounts::{ByteSize, Span};
use super::hook_words::{AuthKind, KeyEncoding, OnConflict, QuestionName, SchemeName, Texts};
use super::words;
use crate::receive::KeptHeaders;
use crate::receive::fields::{FieldSource, WithoutId};
use crate::receive::hooks::Places;
use crate::receive::packs::{Challenge, Shape};
use crate::secret::Secret;
use crate::signature::{Algorithm, Encoding};

/// The type of events that name none.
const UNKNOWN: &str = "unknown";

/// `[hook.NAME]`: the webhook of one provider. Its name is the `source` of its events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// The provider, or how it signs its requests; by default `standard`, or nothing if `auth` is set.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<SchemeName>")]
    pub scheme: Option<SchemeName>,
    /// The path that the provider posts to; by default `/webhook/<NAME>`. Of clients of event collectors, what stands
    /// before their own paths; by default nothing.
    pub path: Option<String>,
    /// Secrets that the provider signs with. There may be several, so that one can replace another.
    pub secrets: Vec<Secret>,
    /// A file of further secrets, one per line.
    #[schemars(length(min = 1))]
    pub secrets_file: Option<PathBuf>,
    /// How many of them are in the configuration itself, before those of the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub own_secrets: usize,
    /// How far the time in the signature may be from now.
    pub tolerance: Span,
    /// The ways in which a request may prove where it comes from, if they are others than `scheme` says.
    pub auth: Vec<HookAuth>,
    /// For `sns`: the topics whose messages are taken, by their ARNs.
    pub topics: Vec<String>,
    /// For `sns`: whether to open the URL that confirms a subscription to one of the topics.
    pub confirm: bool,
    /// The URL that the provider posts to. Needed by schemes whose signature covers the URL.
    pub public_url: Option<String>,
    /// For `hmac`: the algorithm.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<Algorithm>")]
    pub algorithm: Option<Algorithm>,
    /// For `hmac`: the header that holds the signature.
    pub header: Option<String>,
    /// For `hmac`: the member of the body that holds the signature, as a JSON Pointer, instead of a header.
    pub member: Option<String>,
    /// For `hmac`: what separates several signatures, or pairs, in that header.
    pub separator: Option<char>,
    /// For `hmac`: what precedes a signature.
    pub prefix: Option<String>,
    /// For `hmac`: the encoding of a signature.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<Encoding>")]
    pub encoding: Option<Encoding>,
    /// For `hmac`: the encoding of the secrets.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<KeyEncoding>")]
    pub key_encoding: Option<KeyEncoding>,
    /// For `hmac`: what is signed, as a template.
    pub signed: Option<String>,
    /// For `hmac`: the header that holds the signed time.
    pub time_header: Option<String>,
    /// For `hmac`: the member of the body that holds the signed time.
    pub time_member: Option<String>,
    /// For `hmac`: what precedes the time in its header.
    pub time_prefix: Option<String>,
    /// For `hmac`: the header that holds the signed id.
    pub id_header: Option<String>,
    /// Where the event's id is: places, each `header:X-Name` or a JSON Pointer, or `content` or `none`.
    pub id: Option<Texts>,
    /// Where the event's type is.
    pub r#type: Option<Texts>,
    /// Where the event's time is.
    pub time: Option<Texts>,
    /// Where the user is whom the event is about.
    pub user: Option<Texts>,
    /// Challenges by which the provider verifies the URL, in addition to those that the pack has.
    #[serde(deserialize_with = "words::deserialize_list")]
    #[schemars(schema_with = "words::list_schema::<QuestionName>")]
    pub challenges: Vec<QuestionName>,
    /// The word that the provider names in `hub.verify_token`.
    pub verify_token: Option<Secret>,
    /// The most bytes of a body, at most 25 MiB, as one event; by default the limits of every request hold.
    pub max_body: Option<ByteSize>,
    /// Whether an event with a known id and other content is a duplicate, or goes to the quarantine.
    #[serde(deserialize_with = "words::deserialize_optional")]
    #[schemars(schema_with = "words::schema::<OnConflict>")]
    pub on_conflict: Option<OnConflict>,
    /// Headers that are kept with each event, under `extra.headers`; `ce-*` are all that begin so.
    pub headers: Vec<String>,
}

/// One way in which a request may prove where it comes from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HookAuth {
    /// Which way.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<AuthKind>")]
    pub r#type: AuthKind,
    /// For `header`: its name. For `jwt`: that of the header with the token; by default `Authorization`.
    pub header: Option<String>,
    /// For `query`: the parameter of the URL.
    pub parameter: Option<String>,
    /// For `member`: the member of the body, which is a JSON object. It is not stored.
    pub member: Option<String>,
    /// For all of these: the secrets; for `basic` each is `user:password`.
    pub secrets: Vec<Secret>,
    /// A file of further secrets, one per line.
    #[schemars(length(min = 1))]
    pub secrets_file: Option<PathBuf>,
    /// How many of them are in the configuration itself, before those of the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub own_secrets: usize,
    /// For `none`: a proxy in front of this service authenticates senders.
    pub behind_proxy: bool,
    /// For `jwt`: a file with the public keys of the issuer, as a set of JSON Web Keys.
    #[schemars(length(min = 1))]
    pub keys_file: Option<PathBuf>,
    /// What that file holds.
    #[serde(skip)]
    #[schemars(skip)]
    pub keys: Option<Secret>,
    /// For `jwt`: claims that a token must have, each with its value.
    pub claims: BTreeMap<String, String>,
    /// For `jwt`: the claim that holds the SHA-256 of the body, in hexadecimal digits.
    pub body_hash: Option<String>,
    /// For `jwt`: the body is the token, and what it claims is the event.
    pub in_body: bool,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            scheme: None,
            path: None,
            secrets: Vec::new(),
            secrets_file: None,
            own_secrets: 0,
            tolerance: Span::seconds(300),
            auth: Vec::new(),
            topics: Vec::new(),
            confirm: false,
            public_url: None,
            algorithm: None,
            header: None,
            member: None,
            separator: None,
            prefix: None,
            encoding: None,
            key_encoding: None,
            signed: None,
            time_header: None,
            time_member: None,
            time_prefix: None,
            id_header: None,
            id: None,
            r#type: None,
            time: None,
            user: None,
            challenges: Vec::new(),
            verify_token: None,
            max_body: None,
            on_conflict: None,
            headers: Vec::new(),
        }
    }
}

impl Hook {
    /// The path of the hook that has this name, or the first of its paths.
    pub fn path(&self, name: &str) -> String {
        let paths = self.paths(name).into_iter();
        paths.map(|(path, _)| path).next().unwrap_or_default()
    }

    /// The paths of the hook that has this name, each with the type of events that name none.
    pub fn paths(&self, name: &str) -> Vec<(String, &'static str)> {
        let routes = self.pack().routes;
        if routes.is_empty() {
            let default = || format!("/webhook/{name}");
            return vec![(self.path.clone().unwrap_or_else(default), UNKNOWN)];
        }
        let base = self.path.as_deref().unwrap_or_default();
        let base = base.trim_end_matches('/');
        let paths = routes.iter();
        paths
            .map(|route| (format!("{base}{}", route.path), route.event_type))
            .collect()
    }

    /// Where events have what the lake has in columns.
    pub fn places(&self) -> Places {
        let pack = self.pack();
        let own_id = self.id.as_ref().and_then(|texts| id_of(texts.iter()));
        let default_id = || id_of(pack.id.iter().copied()).unwrap_or_default();
        let (id, without_id) = own_id.unwrap_or_else(default_id);
        // Specification of CloudEvents, 3.1.1: source and id together are unique.
        let is_within_source = pack.shape == Shape::CloudEvents && self.id.is_none();
        let within: &[&str] = if is_within_source { &["/source"] } else { &[] };
        Places {
            id,
            id_within: places(None, within),
            without_id,
            event_type: places(self.r#type.as_ref(), pack.event_type),
            default_type: UNKNOWN,
            time: places(self.time.as_ref(), pack.time),
            times_are_utc: pack.times_are_utc,
            user: places(self.user.as_ref(), pack.user),
        }
    }

    /// Whether an event with a known id and other content is a duplicate. By default it is, where the id is the pack's
    /// own: that of a delivery, or of an event. An id that the operator points to may be that of an order.
    pub fn changed_is_duplicate(&self) -> bool {
        let is_known = self.id.is_none() && !self.has_own_scheme();
        let default = || is_known && self.proofs().authenticate();
        let own = self.on_conflict.map(|on| on == OnConflict::Duplicate);
        own.unwrap_or_else(default)
    }

    /// Questions by which the provider verifies the URL.
    pub fn questions(&self) -> Vec<Challenge> {
        let own = self.challenges.iter().map(|name| name.0);
        self.pack().challenges.iter().copied().chain(own).collect()
    }

    /// The headers that are kept. A list that is none was refused before.
    pub fn kept_headers(&self) -> KeptHeaders {
        let texts = self.headers.iter().map(String::as_str);
        KeptHeaders::parse(texts).unwrap_or_default()
    }

    /// The keys that mean something for `scheme = "hmac"` alone, and whether they are set.
    pub(super) fn own_scheme(&self) -> [(&'static str, bool); 12] {
        [
            ("header", self.header.is_some()),
            ("member", self.member.is_some()),
            ("algorithm", self.algorithm.is_some()),
            ("separator", self.separator.is_some()),
            ("prefix", self.prefix.is_some()),
            ("encoding", self.encoding.is_some()),
            ("key_encoding", self.key_encoding.is_some()),
            ("signed", self.signed.is_some()),
            ("time_header", self.time_header.is_some()),
            ("time_member", self.time_member.is_some()),
            ("time_prefix", self.time_prefix.is_some()),
            ("id_header", self.id_header.is_some()),
        ]
    }
}

fn places(own: Option<&Texts>, default: &[&str]) -> FieldSource {
    let own = own.and_then(|texts| FieldSource::parse(texts.iter()));
    let default = || FieldSource::parse(default.iter().copied()).unwrap_or_default();
    own.unwrap_or_else(default)
}

/// Parses where ids are: places, behind which `content` or `none` may stand.
pub(super) fn id_of<'t>(
    texts: impl DoubleEndedIterator<Item = &'t str>,
) -> Option<(FieldSource, WithoutId)> {
    let mut places: Vec<&str> = texts.collect();
    let without = match places.last().copied() {
        Some("content") => Some(WithoutId::Content),
        Some("none") => Some(WithoutId::Fresh),
        _ => None,
    };
    if without.is_some() {
        places.pop();
    }
    Some((FieldSource::parse(places)?, without.unwrap_or_default()))
}
