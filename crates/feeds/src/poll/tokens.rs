//! Tokens that an API gives out at the end of a run, and that the next run begins with: delta links,
//! history ids, checkpoints. Pure.

use super::asking::{self, Place};
use super::definition::{self, Request};
use super::place::Source;

/// The placeholder of the token.
const PLACEHOLDER: &str = "{token}";
/// Most bytes of a token: it must fit into the cursor.
pub const MAX_TOKEN: usize = 6 << 10;

/// How a run begins with the token of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The token is a link, which is followed.
    Link,
    /// It goes into the request.
    Placed,
    /// It is the cursor of the first page.
    Cursor,
}

impl Resumption {
    /// Reads the settings; `None` if there are none. The error names the key and the rule.
    pub fn new(
        token: &definition::Token,
        request: &Request,
        uses_token: bool,
    ) -> Result<Option<Self>, (&'static str, String)> {
        let Some(from) = &token.from else {
            return match token.into {
                Some(_) => Err((
                    "resume_into",
                    "needs resume_from, which says where the token is".to_owned(),
                )),
                None if token.begins => Err((
                    "pagination.begin",
                    "is \"token\", and needs resume_from, which says where the token is".to_owned(),
                )),
                None => Ok(None),
            };
        };
        match Source::parse(from).map_err(|rule| ("resume_from", rule))? {
            Source::Body(_) | Source::Header(_) => {}
            Source::First(_) | Source::Last(_) => {
                let rule = "must be a JSON Pointer into the body, or header:NAME";
                return Err(("resume_from", rule.to_owned()));
            }
        }
        if token.begins && (token.into.is_some() || uses_token) {
            return Err((
                "pagination.begin",
                "is \"token\", so that the token is the cursor of the first page; remove resume_into and {token}"
                    .to_owned(),
            ));
        }
        match &token.into {
            None if token.begins => Ok(Some(Self::Cursor)),
            None if uses_token => Ok(Some(Self::Placed)),
            None => Ok(Some(Self::Link)),
            Some(_) if uses_token => Err((
                "resume_into",
                "and {token} in the request both say where it goes; remove one".to_owned(),
            )),
            Some(into) => {
                let place =
                    Place::parse(into, PLACEHOLDER).map_err(|rule| ("resume_into", rule))?;
                match place {
                    Place::Path => Err((
                        "resume_into",
                        "cannot be \"path\": the first run has no token yet".to_owned(),
                    )),
                    place => match place.check_free(request) {
                        Ok(()) => Ok(Some(Self::Placed)),
                        Err(rule) => Err(("resume_into", rule)),
                    },
                }
            }
        }
    }
}

/// The request with the token where `resume_into` wants it.
pub(super) fn with_token(request: &Request, token: &definition::Token) -> Request {
    asking::placed(request, token.into.as_deref(), PLACEHOLDER)
}
