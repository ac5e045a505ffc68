//! `[poll.NAME] deleted`: what says that a record is deleted.

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// What says that a record is deleted: the view of current records leaves it out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Deleted {
    /// The name of a member of the record.
    #[validate(length(min = 1, message = "must name a member of the record"))]
    pub field: String,
    /// Its value, as text; by default any but null.
    pub value: Option<String>,
}
