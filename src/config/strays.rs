//! Variables of the environment that begin like ours and name no key: most of them are keys with one underscore
//! where two belong.

use super::errors::{ConfigPlace, ConfigProblem};
use super::key::{Key, shown};
use super::shape::Shape;
use super::sources::{CONFIG_VARIABLE, PREFIX, SEPARATOR};

/// Variables that are no keys and mean something: the file, and the volume of the image.
const OTHER_VARIABLES: [&str; 2] = [CONFIG_VARIABLE, "LAKEHOOK_VOLUME"];

/// Finds the key that each of these variables means. Those that mean none are named in the warning that is
/// returned. `names` are the names of all variables that begin like ours and have no separator.
pub(super) fn judge(
    names: &[String],
    shape: &Shape,
    problems: &mut Vec<ConfigProblem>,
) -> Option<String> {
    let mut unknown = Vec::new();
    for name in names {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        if OTHER_VARIABLES.contains(&name.as_str()) || is_of_kubernetes(rest) {
            continue;
        }
        let Some(key) = meant(&rest.to_lowercase(), &[], shape) else {
            unknown.push(name.as_str());
            continue;
        };
        let right: Vec<String> = key.iter().map(|part| part.to_uppercase()).collect();
        let rule = format!(
            "names no key, since section and key are separated by two underscores; for `{}` write \
             {PREFIX}{}, otherwise remove it",
            shown(&key),
            right.join(SEPARATOR)
        );
        let place = ConfigPlace::Variable(name.clone());
        problems.push(ConfigProblem { place, rule });
    }
    let list = unknown.join(", ");
    (!list.is_empty()).then(|| {
        format!("these variables of the environment name no key, and nothing reads them: {list}")
    })
}

/// Whether Kubernetes sets such a variable in every container beside a Service whose name is `lakehook`.
fn is_of_kubernetes(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest.contains("SERVICE_")
}

/// The key whose parts, joined by one underscore, are this text.
fn meant(rest: &str, section: &[String], shape: &Shape) -> Option<Key> {
    let below = |name: &str| [section, &[name.to_owned()]].concat();
    for name in shape.names(section) {
        let Some(left) = rest.strip_prefix(name) else {
            continue;
        };
        let key = below(name);
        if left.is_empty() {
            // A section alone is no key.
            let is_section = shape.names(&key).next().is_some() || shape.takes_any_name(&key);
            return (!is_section).then_some(key);
        }
        let found = left
            .strip_prefix('_')
            .and_then(|left| meant(left, &key, shape));
        if found.is_some() {
            return found;
        }
    }
    if !shape.takes_any_name(section) {
        return None;
    }
    let ends = rest.match_indices('_').map(|(at, _)| at);
    ends.filter(|at| *at > 0)
        .find_map(|at| meant(&rest[at + 1..], &below(&rest[..at]), shape))
}
