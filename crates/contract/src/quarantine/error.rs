//! Errors of what was refused.

/// One way in which a request, an event or a record breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) into the request's body, such as `/events/3/event_type`.
    pub pointer: String,
    /// A stable word for the rule, such as `unknown_event_type`.
    pub code: &'static str,
    /// What was expected, for people. Never echoes the value.
    pub detail: String,
}

impl FieldError {
    /// An error of the body as a whole.
    pub fn of_body(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: String::new(),
            code,
            detail: detail.into(),
        }
    }
}
