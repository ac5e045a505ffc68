//! From the settings of a hook to its scheme and proofs.

use std::sync::Arc;

use http::HeaderName;

use super::hook_words::{AuthKind, SchemeName};
use super::hooks::{Hook, HookAuth};
use crate::receive::Topics;
use crate::receive::admission::{Proof, Proofs};
use crate::receive::client::Tokens;
use crate::receive::packs::{GENERIC, Pack, STANDARD};
use crate::receive::signature::Signing;
use crate::secret::Secret;
use crate::signature::{
    Algorithm, Encoding, KeyForm, Place, Scheme, Template, TemplateError, TimeForm,
};

/// Why a hook has no scheme.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemeFault {
    /// The header of the signature is missing.
    NoHeader,
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
        let header = self.header.as_deref().ok_or(SchemeFault::NoHeader)?;
        let text = self.signed.as_deref().unwrap_or("{body}");
        let template = Template::parse(text).map_err(SchemeFault::Template)?;
        let place = |header: &str, prefix: Option<&str>| Place {
            separator: None,
            prefix: prefix.unwrap_or_default().to_owned(),
            ..Place::header(header)
        };
        let mut signature = place(header, self.prefix.as_deref());
        signature.separator = self.separator;
        let time_prefix = self.time_prefix.as_deref();
        let timestamp = match (self.time_header.as_deref(), time_prefix) {
            (Some(header), _) => Some(place(header, time_prefix)),
            // A pair in the header of the signature.
            (None, Some(_)) => Some(Place {
                separator: self.separator,
                ..place(header, time_prefix)
            }),
            (None, None) => None,
        };
        let id = self.id_header.as_deref().map(|header| place(header, None));
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
        let ways = self.proof_list();
        let ways: Vec<String> = ways
            .iter()
            .map(|proof| match proof {
                Proof::Signature(signing) => {
                    format!(
                        "signature in {} ({} secrets)",
                        signing.header(),
                        self.secrets.len()
                    )
                }
                Proof::Topics(topics) => {
                    let confirms = if topics.confirms() {
                        ", which are confirmed"
                    } else {
                        ""
                    };
                    format!("signature of Amazon ({} topics{confirms})", topics.count())
                }
                Proof::Header(header, secrets) => format!("{header} ({} secrets)", secrets.len()),
                Proof::Bearer(_) => "bearer token".to_owned(),
                Proof::Basic(pairs) => format!("basic ({} users)", pairs.len()),
                Proof::Query(name, secrets) => {
                    format!("{name} of the URL ({} secrets)", secrets.len())
                }
                Proof::Member(names, secrets) => {
                    format!(
                        "{} of the body ({} secrets)",
                        names.join(" or "),
                        secrets.len()
                    )
                }
                Proof::Open => "not authenticated".to_owned(),
            })
            .collect();
        let paths: Vec<String> = self.paths(name).into_iter().map(|(path, _)| path).collect();
        format!(
            "{}, {}, {}",
            paths.join(" "),
            self.pack().name,
            ways.join(" or ")
        )
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
            AuthKind::None => vec![Proof::Open],
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
            Proof::Signature(Signing::new(schemes, texts, self.tolerance.duration(), url))
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

fn boxed(secrets: &[Secret]) -> Vec<Box<str>> {
    secrets
        .iter()
        .map(|secret| secret.expose().into())
        .collect()
}
