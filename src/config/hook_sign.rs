//! A delivery as a provider would sign it.

use super::hooks::Hook;
use crate::clock::Micros;
use crate::signature::Message;

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The name of the hook.
    pub name: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Its media type.
    pub content_type: &'a str,
    /// The id of the delivery.
    pub id: &'a str,
    /// The time of the signature.
    pub now: Micros,
}

impl Hook {
    /// The headers that sign a delivery with the first secret; the error says why nobody can.
    pub fn sign(&self, delivery: &Delivery<'_>) -> Result<Vec<(String, String)>, String> {
        let name = delivery.name;
        let is_signed = self.schemes().is_ok_and(|schemes| !schemes.is_empty());
        if let Some(header) = self.pack().token_header().filter(|_| !is_signed) {
            return Err(format!(
                "hook.{name} is not signed; send its secret in the header {header}"
            ));
        }
        if let Some(member) = self.pack().secret_members().first() {
            return Err(format!(
                "hook.{name} is not signed; send its secret as the member {member} of the body"
            ));
        }
        if self.pack().has_topics() {
            return Err(format!(
                "hook.{name} takes messages that Amazon signs; publish one to the topic"
            ));
        }
        let schemes = self.schemes().unwrap_or_default();
        let media_type = delivery.content_type.split(';').next().unwrap_or_default();
        let path = self.path(name);
        let message = Message {
            method: "POST",
            url: self.public_url.as_deref().unwrap_or_default(),
            path: &path,
            query: None,
            body: delivery.body,
            is_form: media_type.trim() == "application/x-www-form-urlencoded",
        };
        let mut secrets = self.secrets.iter();
        let signed = secrets.find_map(|secret| {
            let mut schemes = schemes.iter();
            schemes.find_map(|scheme| {
                let key = scheme.key_of(secret.expose())?;
                scheme.sign(&key, &message, delivery.now, delivery.id)
            })
        });
        signed.ok_or_else(|| {
            format!(
                "hook.{name} has no secret that can sign: there is none, or they are public keys, whose other half only \
                 the provider has, or the signature stands in the body"
            )
        })
    }
}
