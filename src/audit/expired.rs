//! Objects that retentions have listed: removed, or still there.

use std::collections::BTreeMap;

use super::object::AuditedObject;
use super::report::Discrepancy;
use crate::lake::stamp::Stamp;
use crate::retain::notes::{ListedObject, Retentions};
use crate::retain::plan::RunId;

/// Adds the objects that are listed and gone, with the claims of their notes. What is listed and still there counts
/// like any other object, and must be what was listed.
pub fn judge_retentions(
    objects: &mut Vec<AuditedObject>,
    retentions: &Retentions,
    found: &mut Vec<Discrepancy>,
) {
    let there: BTreeMap<&str, &AuditedObject> =
        objects.iter().map(|it| (it.key.as_str(), it)).collect();
    let mut expired = Vec::new();
    let listed = retentions.objects.values();
    for listed in listed.filter(|listed| RunId::of_marker(&listed.key).is_none()) {
        let Some(there) = there.get(listed.key.as_str()) else {
            expired.push(AuditedObject {
                key: listed.key.clone(),
                bytes: listed.bytes,
                declared: None,
                stamp: listed.stamp(),
                expired: true,
            });
            continue;
        };
        let is_still = |stamp: &Stamp| listed.is_still(there.bytes, stamp);
        if !there.stamp.as_ref().is_ok_and(is_still) {
            found.push(changed_since(listed));
        }
    }
    objects.append(&mut expired);
    objects.sort_by(|a, b| a.key.cmp(&b.key));
}

/// Somebody has changed what a note lists.
pub(super) fn changed_since(listed: &ListedObject) -> Discrepancy {
    let what = "it was changed after a retention had listed it".to_owned();
    Discrepancy::of_object(None, &listed.key, what)
}
