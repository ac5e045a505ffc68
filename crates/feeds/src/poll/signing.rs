//! Requests that are signed with a shared secret, as a template says.

use http::header::{HeaderMap, HeaderName};
use reqwest::Url;

use super::definition::Credentials;
use super::outgoing::{Outgoing, sensitive};
use lakehook_base::clock::Micros;
use lakehook_base::signature::{KeyForm, Message, Place, Scheme, SigningKey, Template};

/// Signs requests.
#[derive(Debug)]
pub(super) struct Signer {
    scheme: Scheme,
    key: SigningKey,
}

impl Signer {
    /// Reads the settings of a signature. The error says what cannot be used.
    pub(super) fn new(auth: &Credentials) -> Result<Self, String> {
        let settings = &auth.signature;
        let template = Template::parse_any(&settings.template);
        let template = template.map_err(|error| format!("auth.template: {error}"))?;
        let header = auth.header.as_deref().unwrap_or("x-signature");
        let scheme = Scheme {
            algorithm: settings.algorithm,
            encoding: settings.encoding,
            key: KeyForm {
                encoding: settings.key_encoding,
                ..KeyForm::text()
            },
            template,
            signature: Place {
                prefix: settings.prefix.clone(),
                ..Place::header(header)
            },
            timestamp: settings.timestamp_header.as_deref().map(Place::header),
            time_form: settings.timestamp,
            id: None,
        };
        let token = auth
            .token
            .as_ref()
            .map(|token| scheme.key_of(token.expose()));
        let key = token
            .flatten()
            .ok_or("auth.token is no key of that encoding")?;
        Ok(Self { scheme, key })
    }

    /// The headers of the signature of a request.
    pub(super) fn sign(&self, request: &Outgoing, is_form: bool, now: Micros) -> Option<HeaderMap> {
        let url = bare(&request.url);
        let message = Message {
            method: request.method.as_str(),
            url: &url,
            path: request.url.path(),
            query: request.url.query(),
            body: request.body.as_deref().unwrap_or_default(),
            is_form,
        };
        let signed = self.scheme.sign(&self.key, &message, now, "")?;
        let mut headers = HeaderMap::new();
        for (name, value) in signed {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.insert(name, sensitive(&value)?);
        }
        Some(headers)
    }
}

/// The URL without its query.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
