//! Requests that are signed with a shared secret, as a template says.

use http::header::HeaderName;
use reqwest::Url;

use super::definition::Credentials;
use super::outgoing::{Outgoing, sensitive};
use lakehook_base::clock::Micros;
use lakehook_base::signature::{KeyForm, Message, Place, Scheme, SigningKey, Template};

/// The header of a signature, unless another one is configured.
const DEFAULT_HEADER: &str = "x-signature";

/// Signs requests.
#[derive(Debug)]
pub(super) struct Signer {
    scheme: Scheme,
    key: SigningKey,
    /// Name of the parameter with the signature, if it is no header.
    param: Option<String>,
    /// Name of the parameter with its time, if it is no header.
    timestamp_param: Option<String>,
}

impl Signer {
    /// Reads the settings of a signature. The error says what cannot be used.
    pub(super) fn new(auth: &Credentials) -> Result<Self, String> {
        let settings = &auth.signature;
        let template = Template::parse_any(&settings.template);
        let template = template.map_err(|error| format!("auth.template: {error}"))?;
        let header = auth.header.as_deref().unwrap_or(DEFAULT_HEADER);
        // Values that become parameters have a place among the headers until then.
        let time = settings.timestamp_header.as_ref();
        let time = time.or(settings.timestamp_param.as_ref());
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
                ..Place::header(auth.param.as_deref().unwrap_or(header))
            },
            timestamp: time.map(|name| Place::header(name)),
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
        Ok(Self {
            scheme,
            key,
            param: auth.param.clone(),
            timestamp_param: settings.timestamp_param.clone(),
        })
    }

    /// Names of the parameters that signatures add.
    pub(super) fn params(&self) -> impl Iterator<Item = &str> {
        let params = self.param.iter().chain(&self.timestamp_param);
        params.map(String::as_str)
    }

    /// Signs a request; `None` if that is not possible.
    pub(super) fn sign(&self, request: &mut Outgoing, is_form: bool, now: Micros) -> Option<()> {
        if let Some(name) = &self.timestamp_param {
            let time = self.scheme.time_form.write(now);
            request.url.query_pairs_mut().append_pair(name, &time);
        }
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
        for (name, value) in signed {
            let is = |param: &Option<String>| {
                let param = param.as_ref();
                param.is_some_and(|param| param.eq_ignore_ascii_case(&name))
            };
            if is(&self.param) {
                let name = self.param.as_deref().unwrap_or_default();
                request.url.query_pairs_mut().append_pair(name, &value);
            } else if !is(&self.timestamp_param) {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                request.headers.insert(name, sensitive(&value)?);
            }
        }
        Some(())
    }
}

/// The URL without its query.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
