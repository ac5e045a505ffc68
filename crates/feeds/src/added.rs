//! Members that are added to records, such as the key of the parent that they belong to. Pure.

use std::borrow::Cow;

use lakehook_base::json::{Members, text};

/// Adds members to records that do not have them.
#[derive(Debug, Default)]
pub struct Added(Vec<(String, String)>);

impl Added {
    /// Adds these members: their names and their values, as JSON.
    pub fn new(members: Vec<(String, String)>) -> Self {
        Self(members)
    }

    /// The record with the members. What is no object stays what it is.
    pub fn to<'r>(&self, raw: &'r str) -> Cow<'r, str> {
        let Some(rest) = raw.strip_prefix('{').filter(|_| !self.0.is_empty()) else {
            return Cow::Borrowed(raw);
        };
        let mut whole = String::with_capacity(raw.len() + 64);
        whole.push('{');
        for (name, value) in self.0.iter().filter(|(name, _)| !has(raw, name)) {
            whole.push_str(name);
            whole.push(':');
            whole.push_str(value);
            whole.push(',');
        }
        if rest.trim_start().starts_with('}') && whole.ends_with(',') {
            whole.pop();
        }
        whole.push_str(rest);
        Cow::Owned(whole)
    }
}

/// Whether an object has a member; `name` is JSON.
fn has(raw: &str, name: &str) -> bool {
    // A name that is written without escapes is found at once, or is not there.
    if !raw.contains(name) && !raw.contains('\\') {
        return false;
    }
    let Ok(Members(members)) = serde_json::from_str(raw) else {
        return false;
    };
    members.iter().any(|(own, _)| text(own) == text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_added_to_objects_that_do_not_have_them() {
        let added = Added::new(vec![
            ("\"user\"".to_owned(), "7".to_owned()),
            ("\"team\"".to_owned(), "\"a\"".to_owned()),
        ]);
        for (raw, whole) in [
            (r#"{"id":1}"#, r#"{"user":7,"team":"a","id":1}"#),
            ("{ }", r#"{"user":7,"team":"a" }"#),
            (r#"{"user":null}"#, r#"{"team":"a","user":null}"#),
            (
                r#"{"a":{"user":1}}"#,
                r#"{"user":7,"team":"a","a":{"user":1}}"#,
            ),
            (r#"{"us\u0065r":1}"#, r#"{"team":"a","us\u0065r":1}"#),
            (r#"{"user":1,"team":2}"#, r#"{"user":1,"team":2}"#),
            ("[1]", "[1]"),
        ] {
            assert_eq!(added.to(raw), whole);
        }
        assert!(matches!(Added::default().to("{}"), Cow::Borrowed("{}")));
    }
}
