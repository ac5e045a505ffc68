//! The variables by which AWS tools are told of a store that is not AWS. They stand in for
//! `lake.endpoint` where that is not set, so that everything that depends on it agrees: the style of
//! addresses, the region, the lake's identity in the log, and what `lakehook sql` prints.

use std::ffi::OsString;

use super::errors::{ConfigPlace, ConfigProblem};
use super::lake_url::LakeUrl;
use super::rules;
use super::sections::Lake;

/// The first that is set counts, as in every AWS tool.
const VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
/// Set to `true`, it makes AWS tools ignore the others.
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// An endpoint and the variable that names it.
pub(super) type Named = (&'static str, String);

/// What the environment says.
pub(super) fn named_by(environment: &[(OsString, OsString)]) -> Option<Named> {
    let value_of = |wanted: &str| {
        let mut variables = environment.iter();
        let (_, value) = variables.find(|(name, _)| name == wanted)?;
        Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
    };
    if value_of(IGNORE).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    VARIABLES
        .into_iter()
        .find_map(|name| Some((name, value_of(name)?)))
}

/// Takes what the environment says for a bucket whose configuration names no endpoint.
pub(super) fn take(lake: &mut Lake, named: Option<Named>) -> Result<(), ConfigProblem> {
    let is_bucket = matches!(lake.url, LakeUrl::S3 { .. });
    let Some((name, url)) = named.filter(|_| is_bucket && lake.endpoint.is_none()) else {
        return Ok(());
    };
    if rules::endpoint(&url).is_err() {
        return Err(ConfigProblem {
            place: ConfigPlace::Variable(name.to_owned()),
            rule:
                "must be the http:// or https:// address of a store, without credentials, query or \
                   fragment, such as \"http://localhost:4566\""
                    .to_owned(),
        });
    }
    lake.endpoint = Some(url);
    lake.endpoint_named_by = name;
    Ok(())
}
