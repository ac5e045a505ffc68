//! Reports broken rules of single values, which stand beside their keys, as findings.

use std::borrow::Cow;

use serde_json::Value;
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use super::findings::Findings;
use super::rules::BROKEN_RULES;

/// Checks a section and what is nested in it. `key` is the key of the section; it is empty for the whole
/// configuration.
pub(super) fn check(key: &str, section: &impl Validate, findings: &mut Findings<'_>) {
    if let Err(errors) = section.validate() {
        report(key, &errors, findings);
    }
}

fn report(key: &str, errors: &ValidationErrors, findings: &mut Findings<'_>) {
    let mut fields: Vec<(&Cow<'static, str>, &ValidationErrorsKind)> = errors.0.iter().collect();
    fields.sort_unstable_by_key(|(field, _)| *field);
    for (field, kind) in fields {
        let key = if key.is_empty() {
            field.to_string()
        } else {
            format!("{key}.{field}")
        };
        match kind {
            ValidationErrorsKind::Struct(inner) => report(&key, inner, findings),
            ValidationErrorsKind::List(entries) => {
                for inner in entries.values() {
                    report(&key, inner, findings);
                }
            }
            ValidationErrorsKind::Field(broken) => {
                let rules = broken.iter().flat_map(rules_of);
                rules.for_each(|rule| findings.problem(&[&key], rule));
            }
        }
    }
}

/// The rules that a value breaks, in words. They do not repeat the value, which may be secret.
fn rules_of(error: &ValidationError) -> Vec<String> {
    if let Some(Value::Array(rules)) = error.params.get(BROKEN_RULES) {
        return rules.iter().map(words).collect();
    }
    if let Some(message) = &error.message {
        return vec![message.to_string()];
    }
    // The only rule without words of its own is a range without an upper end.
    vec!["must be more than 0".to_owned()]
}

fn words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
