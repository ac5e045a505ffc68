//! What a request asks for: the parameters of its URL, or the fields of a form.

use std::borrow::Cow;

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};

/// Longest form, in bytes: an event to try, and a few fields.
const MAX_FORM: usize = 2 << 20;
/// More fields are no form of ours.
const MAX_FIELDS: usize = 64;

/// Named texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The parameters of a URL.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        Self::of(query.unwrap_or_default().as_bytes())
    }

    /// The fields of a form; `None` if it is too long, or did not arrive.
    pub(super) async fn of_form(body: Body) -> Option<Self> {
        let bytes = Limited::new(body, MAX_FORM).collect().await.ok()?;
        Some(Self::of(&bytes.to_bytes()))
    }

    fn of(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).take(MAX_FIELDS);
        Self(
            pairs
                .map(|(name, text)| (name.into_owned(), text.into_owned()))
                .collect(),
        )
    }

    /// The text with a name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, _)| known == name)
            .map_or("", |(_, text)| text)
    }

    /// A number with a name.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }
}

/// A URL of this console with parameters, whatever they hold.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let start = path.len() + 1;
    let mut text = form_urlencoded::Serializer::for_suffix(format!("{path}?"), start);
    text.extend_pairs(
        parameters
            .iter()
            .map(|(name, text)| (*name, Cow::Borrowed(*text))),
    );
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_found_again() {
        let odd = "a b&c=d\"'<é>\u{0}?#";
        let link = link("/x", &[("q", odd), ("n", "7")]);
        assert!(
            link.starts_with("/x?q=") && !link.contains(['"', '<', ' ', '\'']),
            "{link}"
        );
        let query = link.split_once('?').map(|(_, query)| query);
        let fields = Fields::of_query(query);
        assert_eq!(
            (fields.get("q"), fields.number("n"), fields.get("z")),
            (odd, Some(7), "")
        );
    }
}
