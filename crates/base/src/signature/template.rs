//! Templates: which bytes of a request are signed, in which order.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, SHA512, digest};

use super::encoding::Encoding;
use super::form::{escaped, pairs};

/// The longest text between two parts.
const MAX_LITERAL: usize = 64;
/// The most parts of a template.
const MAX_PARTS: usize = 24;

/// What is signed: parts of a request and the text between them, such as `v0:{timestamp}:{body}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// One part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that is the same for each request.
    Literal(String),
    /// `{body}`: the body, byte by byte.
    Body,
    /// `{timestamp}`: the time of the signature, as it was sent.
    Timestamp,
    /// `{id}`: the id of the message, as it was sent.
    Id,
    /// `{method}`: `POST`.
    Method,
    /// `{url}`: the public URL with the query.
    Url,
    /// `{url_decoded}`: the same, with those characters decoded that HubSpot decodes.
    UrlDecoded,
    /// `{uri}`: path and query, as in the request line.
    Uri,
    /// `{path}`: the path.
    Path,
    /// `{query}`: the query, without its question mark.
    Query,
    /// `{params}`: names and values of a form, decoded and sorted by name.
    Params,
    /// `{body_sha256}` and its like: the hash of the body, as text.
    BodyHash(Hash, Encoding),
    /// `{header:X-Name}`: the value of a header, as it was sent; and its number among these parts. Or
    /// `{member:/a/b}`: that of a member of a body which holds its signature itself.
    Header(String, usize),
}

/// A hash of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What the headers of a request say that is a part of what is signed.
#[derive(Clone, Copy)]
pub(super) struct Named<'c> {
    pub(super) timestamp: &'c str,
    pub(super) id: &'c str,
    pub(super) headers: &'c [&'c str],
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A part that does not exist.
    #[error(
        "there is no part {{{0}}}; a template may have {{body}}, {{body_sha256}}, {{body_sha256_base64}}, \
         {{body_sha512}}, {{body_sha512_base64}}, {{timestamp}}, {{id}}, {{method}}, {{url}}, {{url_decoded}}, {{uri}}, \
         {{path}}, {{query}}, {{params}} and, of a request that comes in, {{header:X-Name}} or {{member:/a/b}}"
    )]
    Unknown(String),
    /// A brace without its partner.
    #[error("a brace has no partner")]
    Brace,
    /// It signs nothing of the content.
    #[error(
        "it signs neither {{body}}, nor its hash, nor {{params}}, nor a {{member:/a/b}}, so a signature would say nothing \
         about the content"
    )]
    NoContent,
    /// It has a part with content twice.
    #[error(
        "{{body}}, its hash, or {{params}} may stand in it once, and only one of them; and no {{member:/a/b}} beside it"
    )]
    ContentTwice,
    /// It is too long.
    #[error(
        "it has more than {MAX_PARTS} parts, or more than {MAX_LITERAL} characters between two of them"
    )]
    TooLong,
}

/// The parts of a request that may be signed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'m> {
    /// The method, in upper case.
    pub method: &'m str,
    /// The public URL without its query; empty if nobody knows it.
    pub url: &'m str,
    /// The path, as in the request line.
    pub path: &'m str,
    /// The query, without its question mark.
    pub query: Option<&'m str>,
    /// The body.
    pub body: &'m [u8],
    /// Whether the body is a form (`application/x-www-form-urlencoded`).
    pub is_form: bool,
}

impl Template {
    /// Parses a template of a signature of requests that come in, which must cover their content.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse_parts(text, true)?;
        let is_content =
            |part: &&Part| matches!(part, Part::Body | Part::Params | Part::BodyHash(..));
        match (
            template.parts.iter().filter(is_content).count(),
            template.has_members(),
        ) {
            (0, false) => Err(TemplateError::NoContent),
            (1, false) | (0, true) => Ok(template),
            _ => Err(TemplateError::ContentTwice),
        }
    }

    /// Parses a template that need not cover any content, as for requests that are sent and have no body.
    pub fn parse_any(text: &str) -> Result<Self, TemplateError> {
        Self::parse_parts(text, false)
    }

    fn parse_parts(text: &str, takes_headers: bool) -> Result<Self, TemplateError> {
        let (mut parts, mut headers) = (Vec::new(), 0);
        let mut rest = text;
        while !rest.is_empty() {
            let at = rest.find(['{', '}']).unwrap_or(rest.len());
            let (literal, behind) = rest.split_at(at);
            if literal.len() > MAX_LITERAL {
                return Err(TemplateError::TooLong);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            if behind.is_empty() {
                break;
            }
            let inner = behind.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, behind) = inner.split_once('}').ok_or(TemplateError::Brace)?;
            let is_named = name.starts_with("header:") || name.starts_with("member:");
            parts.push(if is_named && takes_headers {
                headers += 1;
                Part::named(name, headers - 1)?
            } else {
                Part::parse(name)?
            });
            rest = behind;
        }
        if parts.len() > MAX_PARTS {
            return Err(TemplateError::TooLong);
        }
        Ok(Self { parts })
    }

    /// The parts, in their order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether it has that part.
    pub fn has(&self, part: &Part) -> bool {
        self.parts.contains(part)
    }

    /// Whether the public URL must be known.
    pub fn needs_url(&self) -> bool {
        self.has(&Part::Url) || self.has(&Part::UrlDecoded)
    }

    /// Whether it signs members of the body, instead of the body.
    pub fn has_members(&self) -> bool {
        self.headers().any(|name| name.starts_with('/'))
    }

    /// The headers, or members of the body, that are signed, in the order of their numbers.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Header(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether id and headers can be told from what follows them. Otherwise two requests could have the same signed
    /// bytes.
    pub(super) fn allows(&self, named: &Named<'_>) -> bool {
        self.parts.iter().enumerate().all(|(at, part)| {
            let value = match part {
                Part::Id => named.id,
                Part::Header(_, number) => named.headers.get(*number).copied().unwrap_or_default(),
                _ => return true,
            };
            is_separate(value, part, self.parts.get(at + 1))
        })
    }

    /// Passes the signed bytes on, in their order.
    pub(super) fn feed(
        &self,
        message: &Message<'_>,
        named: &Named<'_>,
        take: &mut impl FnMut(&[u8]),
    ) {
        for part in &self.parts {
            part.feed(message, named, take);
        }
    }
}

/// Whether the end of a value is certain, given the part behind it.
fn is_separate(value: &str, part: &Part, next: Option<&Part>) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match (next, part) {
        (Some(Part::Literal(text)), _) => {
            let is_text = value.bytes().all(|byte| byte.is_ascii_graphic());
            is_text
                && text
                    .chars()
                    .next()
                    .is_some_and(|next| !value.contains(next))
        }
        // The end of what is signed is the end of the value.
        (None, Part::Header(..)) => true,
        _ => value.bytes().all(is_plain),
    }
}

impl Part {
    fn named(part: &str, number: usize) -> Result<Self, TemplateError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name = match part.split_once(':') {
            Some(("header", name)) if !name.is_empty() && name.bytes().all(is_plain) => {
                Some(name.to_ascii_lowercase())
            }
            Some(("member", pointer)) if pointer.starts_with('/') => Some(pointer.to_owned()),
            _ => None,
        };
        let named = name.map(|name| Self::Header(name, number));
        named.ok_or_else(|| TemplateError::Unknown(part.to_owned()))
    }

    fn parse(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "body" => Self::Body,
            "timestamp" => Self::Timestamp,
            "id" => Self::Id,
            "method" => Self::Method,
            "url" => Self::Url,
            "url_decoded" => Self::UrlDecoded,
            "uri" => Self::Uri,
            "path" => Self::Path,
            "query" => Self::Query,
            "params" => Self::Params,
            "body_sha256" => Self::BodyHash(Hash::Sha256, Encoding::Hex),
            "body_sha256_base64" => Self::BodyHash(Hash::Sha256, Encoding::Base64),
            "body_sha512" => Self::BodyHash(Hash::Sha512, Encoding::Hex),
            "body_sha512_base64" => Self::BodyHash(Hash::Sha512, Encoding::Base64),
            other => return Err(TemplateError::Unknown(other.to_owned())),
        })
    }

    pub(super) fn feed(
        &self,
        message: &Message<'_>,
        named: &Named<'_>,
        take: &mut impl FnMut(&[u8]),
    ) {
        let with_query = |first: &str, take: &mut dyn FnMut(&[u8])| {
            take(first.as_bytes());
            if let Some(query) = message.query {
                take(b"?");
                take(query.as_bytes());
            }
        };
        match self {
            Self::Literal(text) => take(text.as_bytes()),
            Self::Body => take(message.body),
            Self::Timestamp => take(named.timestamp.as_bytes()),
            Self::Id => take(named.id.as_bytes()),
            Self::Method => take(message.method.as_bytes()),
            Self::Url => with_query(message.url, take),
            Self::UrlDecoded => {
                take(&partly_decoded(message.url));
                if let Some(query) = message.query {
                    take(b"?");
                    take(&partly_decoded(query));
                }
            }
            Self::Uri => with_query(message.path, take),
            Self::Path => take(message.path.as_bytes()),
            Self::Query => take(message.query.unwrap_or_default().as_bytes()),
            Self::BodyHash(hash, encoding) => {
                let algorithm = match hash {
                    Hash::Sha256 => &SHA256,
                    Hash::Sha512 => &SHA512,
                };
                let text = encoding.encode(digest(algorithm, message.body).as_ref());
                take(text.as_bytes());
            }
            Self::Header(_, number) => {
                take(
                    named
                        .headers
                        .get(*number)
                        .copied()
                        .unwrap_or_default()
                        .as_bytes(),
                );
            }
            Self::Params => {
                let text = if message.is_form { message.body } else { b"" };
                let mut sorted: Vec<_> = pairs(text).collect();
                sorted.sort();
                // Twilio signs a repeated pair once.
                sorted.dedup();
                for (name, value) in sorted {
                    take(&name);
                    take(&value);
                }
            }
        }
    }
}

/// Decodes the characters that HubSpot decodes before it signs a URL, and no others.
fn partly_decoded(text: &str) -> Cow<'_, [u8]> {
    const DECODED: &[u8] = b":/?@!$'()*,;";
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match escaped(behind) {
            Some(byte) if *first == b'%' && DECODED.contains(&byte) => {
                out.push(byte);
                rest = &behind[2..];
            }
            _ => out.push(*first),
        }
    }
    Cow::Owned(out)
}
