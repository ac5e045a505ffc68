//! From the settings of a hook to its scheme and proofs.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::hook_words::{AuthKind, SchemeName};
use super::hooks::{Hook, HookAuth};
use crate::receive::Topics;
use crate::receive::admission::{Proof, Proofs};
use crate::receive::client::Tokens;
use crate::receive::jwt::{Jwt, JwtPlace};
use crate::receive::packs::{GENERIC, Pack, STANDARD};
use crate::receive::signature::Signing;
use crate::secret::Secret;
use crate::signature::jwt::JwtKeys;
use crate::signature::{
    Algorithm, Encoding, KeyForm, Place, Scheme, Template, TemplateError, TimeForm,
};

/// Why a hook has no scheme.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemeFault {
    /// Nothing says where the signature is, or both keys do.
    Where,
    /// The signature stands in the body and covers all of it, or in a header and covers members of the body.
    Mixed,
    /// The template is none.
    Template(TemplateError),
    /// A part of the template needs a header that this key names.
    Needs(&'static str, &'static str),
    /// A key names a header of which the template has no part.
    Unused(&'static str, &'static str),
}

impl Hook {
    /// What is known about the provider.
    pub fn pack(&self) -> &'static Pack {
        match self.scheme {
            Some(SchemeName(pack)) => pack,
            None if self.auth.is_empty() => &STANDARD,
            None => &GENERIC,
        }
    }

    /// Whether the scheme stands in the configuration.
    pub(super) fn has_own_scheme(&self) -> bool {
        self.pack().name == GENERIC.name
    }

    /// The schemes in which requests may be signed.
    pub(super) fn schemes(&self) -> Result<Vec<Scheme>, SchemeFault> {
        if self.has_own_scheme() {
            self.own_scheme_of_template().map(|scheme| vec![scheme])
        } else {
            Ok(self.pack().schemes())
        }
    }

    fn own_scheme_of_template(&self) -> Result<Scheme, SchemeFault> {
        let at = match (self.header.as_deref(), self.member.as_deref()) {
            (Some(header), None) => Place::header(header),
            (None, Some(pointer)) => Place::member(pointer),
            _ => return Err(SchemeFault::Where),
        };
        let text = self.signed.as_deref().unwrap_or("{body}");
        let template = Template::parse(text).map_err(SchemeFault::Template)?;
        let signature = Place {
            separator: self.separator,
            prefix: self.prefix.clone().unwrap_or_default(),
            ..at
        };
        let timestamp = self.place_of_time(&signature);
        let id = self.id_header.as_deref().map(Place::header);
        if self.member.is_some() != template.has_members()
            || self.member.is_none() && self.time_member.is_some()
        {
            return Err(SchemeFault::Mixed);
        }
        for (part, has_part, key, is_set) in [
            (
                "{timestamp}",
                template.has(&crate::signature::Part::Timestamp),
                "time_header",
                timestamp.is_some(),
            ),
            (
                "{id}",
                template.has(&crate::signature::Part::Id),
                "id_header",
                id.is_some(),
            ),
        ] {
            match (has_part, is_set) {
                (true, false) => return Err(SchemeFault::Needs(part, key)),
                (false, true) => return Err(SchemeFault::Unused(part, key)),
                _ => {}
            }
        }
        Ok(Scheme {
            algorithm: self.algorithm.unwrap_or(Algorithm::HmacSha256),
            encoding: self.encoding.unwrap_or(Encoding::Hex),
            key: KeyForm {
                encoding: self.key_encoding.and_then(|encoding| encoding.0),
                ..KeyForm::text()
            },
            template,
            signature,
            timestamp,
            time_form: TimeForm::Seconds,
            id,
        })
    }

    fn place_of_time(&self, signature: &Place) -> Option<Place> {
        let prefix = self.time_prefix.clone();
        let own = match (&self.time_header, &self.time_member) {
            (Some(header), _) => Some(Place::header(header)),
            (None, Some(pointer)) => Some(Place::member(pointer)),
            (None, None) => None,
        };
        match (own, prefix) {
            (Some(place), prefix) => Some(Place {
                prefix: prefix.unwrap_or_default(),
                ..place
            }),
            // A pair in the header of the signature.
            (None, Some(prefix)) => Some(Place {
                prefix,
                ..signature.clone()
            }),
            (None, None) => None,
        }
    }

    /// The ways in which a request may prove where it comes from. Settings that make none were refused before.
    pub fn proofs(&self) -> Proofs {
        Proofs::any(self.proof_list())
    }

    /// The same as a list, to replace those that were made of former secrets.
    pub fn proof_list(&self) -> Vec<Proof> {
        if self.auth.is_empty() {
            return self.proofs_of_scheme();
        }
        let proofs = self.auth.iter();
        proofs.flat_map(|auth| self.proofs_of(auth)).collect()
    }

    /// Members of a body that hold a secret of the sender.
    pub fn secret_members(&self) -> Vec<Box<str>> {
        let mut members = Vec::new();
        for proof in self.proof_list() {
            if let Proof::Member(names, _) = proof {
                members.extend(names);
            }
        }
        members
    }

    /// Whether it takes whatever a program on this machine sends.
    pub fn takes_this_machine(&self) -> bool {
        let mut auth = self.auth.iter();
        auth.any(|auth| auth.r#type == AuthKind::None && !auth.behind_proxy)
    }

    /// The hook in a few words: its path, its scheme, and how many secrets there are.
    pub fn summary(&self, name: &str) -> String {
        let ways: Vec<String> = self
            .proof_list()
            .iter()
            .map(|proof| self.way(proof))
            .collect();
        let paths: Vec<String> = self.paths(name).into_iter().map(|(path, _)| path).collect();
        // Where nothing is signed, there is no scheme to name.
        let scheme = match self.scheme {
            None if !self.auth.is_empty() => String::new(),
            _ => format!("{}, ", self.pack().name),
        };
        format!("{}, {scheme}{}", paths.join(" "), ways.join(" or "))
    }

    /// A way to prove where a request comes from, in a few words.
    fn way(&self, proof: &Proof) -> String {
        let secrets = counted(self.secrets.len(), "secret");
        match proof {
            Proof::Signature(signing) => format!("signature in {} ({secrets})", signing.header()),
            Proof::InBody(_) => {
                let member = self.member.as_deref().unwrap_or_default();
                format!("signature at {member} of the body ({secrets})")
            }
            Proof::Jwt(jwt) => {
                let keys = counted(jwt.keys.count(), "key");
                match &jwt.place {
                    JwtPlace::Header(name) => format!("token in {name} ({keys})"),
                    JwtPlace::Body => format!("token as the body ({keys})"),
                }
            }
            Proof::Topics(topics) => {
                let confirms = if topics.confirms() {
                    ", which are confirmed"
                } else {
                    ""
                };
                let topics = counted(topics.count(), "topic");
                format!("signature of Amazon ({topics}{confirms})")
            }
            Proof::Header(header, list) => {
                format!("{header} ({})", counted(list.len(), "secret"))
            }
            Proof::Bearer(_) => "bearer token".to_owned(),
            Proof::Basic(pairs) => format!("basic ({})", counted(pairs.len(), "user")),
            Proof::Query(name, list) => {
                format!("{name} of the URL ({})", counted(list.len(), "secret"))
            }
            Proof::Member(names, list) => {
                let (names, list) = (names.join(" or "), counted(list.len(), "secret"));
                format!("{names} of the body ({list})")
            }
            Proof::Open => "not authenticated".to_owned(),
        }
    }

    fn proofs_of(&self, auth: &HookAuth) -> Vec<Proof> {
        match auth.r#type {
            AuthKind::Signature => self.proofs_of_scheme(),
            AuthKind::Header => {
                let name = auth.header.as_deref().unwrap_or_default();
                let name = HeaderName::from_bytes(name.as_bytes()).ok();
                let proof = name.map(|name| Proof::Header(name, boxed(&auth.secrets)));
                proof.into_iter().collect()
            }
            AuthKind::Bearer => {
                let tokens = auth.secrets.iter().map(|token| token.expose().to_owned());
                vec![Proof::Bearer(Tokens::new(tokens))]
            }
            AuthKind::Basic => vec![Proof::Basic(boxed(&auth.secrets))],
            AuthKind::Query => {
                let name = auth.parameter.as_deref().unwrap_or_default();
                vec![Proof::Query(name.into(), boxed(&auth.secrets))]
            }
            AuthKind::Member => {
                let names = auth.member.iter().map(|name| name.as_str().into());
                vec![Proof::Member(names.collect(), boxed(&auth.secrets))]
            }
            AuthKind::Jwt => vec![Proof::Jwt(self.jwt_of(auth))],
            AuthKind::None => vec![Proof::Open],
        }
    }

    /// What `type = "jwt"` says. A set of keys that is none was refused before.
    fn jwt_of(&self, auth: &HookAuth) -> Jwt {
        let set = auth.keys.as_ref();
        let keys = set.and_then(|set| JwtKeys::of_set(set.expose()).ok());
        let of_secrets = || JwtKeys::of_secrets(auth.secrets.iter().map(Secret::expose));
        let header = auth.header.as_deref().map(str::as_bytes);
        let header = header.and_then(|name| HeaderName::from_bytes(name).ok());
        let claims = auth.claims.iter();
        Jwt {
            keys: keys.unwrap_or_else(of_secrets),
            place: if auth.in_body {
                JwtPlace::Body
            } else {
                JwtPlace::Header(header.unwrap_or(AUTHORIZATION))
            },
            claims: claims
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body_hash: auth.body_hash.clone(),
            tolerance: self.tolerance.duration(),
        }
    }

    fn proofs_of_scheme(&self) -> Vec<Proof> {
        let pack = self.pack();
        let token = pack
            .token_header()
            .map(|header| Proof::Header(HeaderName::from_static(header), boxed(&self.secrets)));
        let schemes = self.schemes().unwrap_or_default();
        let signing = (!schemes.is_empty()).then(|| {
            let texts = self.secrets.iter().map(Secret::expose);
            let url = self.public_url.as_deref().unwrap_or_default();
            let is_in_body = schemes.iter().any(Scheme::is_in_body);
            let signing = Signing::new(schemes, texts, self.tolerance.duration(), url);
            if is_in_body {
                Proof::InBody(signing)
            } else {
                Proof::Signature(signing)
            }
        });
        let user = pack.takes_user().then(|| {
            let users = self.secrets.iter();
            Proof::Basic(
                users
                    .map(|secret| format!("{}:", secret.expose()).into())
                    .collect(),
            )
        });
        let members: Vec<Box<str>> = pack
            .secret_members()
            .iter()
            .map(|&name| name.into())
            .collect();
        let member = (!members.is_empty()).then(|| Proof::Member(members, boxed(&self.secrets)));
        let topics = pack.has_topics().then(|| {
            let names = self.topics.iter().map(String::as_str);
            let tolerance = self.tolerance.duration();
            Proof::Topics(Arc::new(Topics::new(names, self.confirm, tolerance)))
        });
        let in_head = token.into_iter().chain(user);
        let in_body = member.into_iter().chain(topics);
        signing.into_iter().chain(in_head).chain(in_body).collect()
    }
}

/// A number of things, in words.
fn counted(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

fn boxed(secrets: &[Secret]) -> Vec<Box<str>> {
    secrets
        .iter()
        .map(|secret| secret.expose().into())
        .collect()
}
