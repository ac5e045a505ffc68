//! Rules for what a bucket is told of each object: who may read it, where it is kept, and what it is called.

use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::sections::Lake;

/// What S3 knows as canned ACLs.
const ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];
/// Those that let others read.
const OPEN_ACLS: [&str; 3] = ["public-read", "public-read-write", "authenticated-read"];
/// Objects of these classes must be restored before they can be read.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// Limits of S3.
const MAX_TAGS: usize = 10;
const MAX_TAG_NAME_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;

/// Checks these keys, alone and together.
pub(super) fn check(lake: &Lake, findings: &mut Findings<'_>) {
    if matches!(lake.url, LakeUrl::Directory(_)) {
        for (key, is_set) in [
            ("lake.acl", lake.acl.is_some()),
            ("lake.storage_class", lake.storage_class.is_some()),
            ("lake.tags", !lake.tags.is_empty()),
            ("lake.sse_s3", lake.sse_s3),
            ("lake.requester_pays", lake.requester_pays),
        ] {
            if is_set {
                findings.warning(key, "has no effect: lake.url is a directory");
            }
        }
    }
    if let Some(acl) = lake.acl.as_deref() {
        if !ACLS.contains(&acl) {
            let rule = format!("must be one of {}", ACLS.join(", "));
            findings.problem(&["lake.acl"], rule);
        } else if OPEN_ACLS.contains(&acl) {
            findings.warning("lake.acl", "lets others read every event");
        }
    }
    if let Some(class) = lake.storage_class.as_deref() {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !class.chars().all(is_name) {
            let rule = "must be a storage class, such as STANDARD_IA or INTELLIGENT_TIERING";
            findings.problem(&["lake.storage_class"], rule);
        } else if ARCHIVES.contains(&class) {
            let rule = "must not be an archive: objects there cannot be read before they are restored; use a \
                        lifecycle rule for old days";
            findings.problem(&["lake.storage_class"], rule);
        }
    }
    if lake.sse_s3 && lake.kms_key_id.is_some() {
        let rule = "exclude each other: objects are encrypted by S3's own key, or by one of KMS";
        findings.problem(&["lake.sse_s3", "lake.kms_key_id"], rule);
    }
    check_tags(lake, findings);
    check_access_point(lake, findings);
}

fn check_tags(lake: &Lake, findings: &mut Findings<'_>) {
    let is_fine = |(name, value): (&String, &String)| {
        let chars = name.chars().count();
        (1..=MAX_TAG_NAME_CHARS).contains(&chars) && value.chars().count() <= MAX_TAG_VALUE_CHARS
    };
    if lake.tags.len() > MAX_TAGS || !lake.tags.iter().all(is_fine) {
        let rule = format!(
            "must be at most {MAX_TAGS} tags, with names of 1 to {MAX_TAG_NAME_CHARS} characters and values of up to \
             {MAX_TAG_VALUE_CHARS}"
        );
        findings.problem(&["lake.tags"], rule);
    }
}

/// An access point has a host name of its own.
fn check_access_point(lake: &Lake, findings: &mut Findings<'_>) {
    if lake.url.access_point_region().is_none() {
        return;
    }
    if lake.endpoint.is_some() {
        let rule = "exclude each other: an access point is reached at AWS";
        findings.problem(&["lake.url", "lake.endpoint"], rule);
    }
    if lake.path_style == Some(true) {
        let rule = "exclude each other: an access point is in the host name";
        findings.problem(&["lake.url", "lake.path_style"], rule);
    }
}
