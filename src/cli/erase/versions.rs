//! Old versions of erased objects, in a bucket that keeps them: told of, or deleted.

use super::report::{ErasureReport, Left};
use crate::lake::reader::LakeReader;
use crate::lake::s3::S3;
use crate::lake::stamp::is_erased;

/// Looks after the old versions of all erased objects among these keys.
pub(super) async fn take_care(
    place: &LakeReader,
    keys: &[String],
    delete: bool,
    report: &mut ErasureReport,
) -> anyhow::Result<()> {
    let LakeReader::Bucket(store) = place else {
        return Ok(());
    };
    // Where that is not answered, the versions themselves tell.
    if let Ok(false) = store.keeps_versions().await {
        return Ok(());
    }
    let (mut versions, mut objects) = (0, 0);
    for key in keys {
        let looked = place.look(key).await?.unwrap_or_default();
        if !is_erased(&looked.metadata) {
            continue;
        }
        let old = match store.old_versions(key).await {
            Ok(old) => old,
            Err(error) if delete => {
                report.left.push(Left {
                    what: key.clone(),
                    why: format!("its old versions cannot be listed: {error}"),
                });
                continue;
            }
            Err(error) => {
                report.notes.push(format!(
                    "whether the bucket keeps old versions, which would still have the rows, cannot be found out: \
                     {error}; deploy/iam-policy-erase.json has the rights that are needed"
                ));
                return Ok(());
            }
        };
        objects += u64::from(!old.is_empty());
        versions += old.len();
        if delete {
            delete_all(store, key, old, report).await;
        }
    }
    if versions > 0 && !delete {
        report.notes.push(format!(
            "the bucket keeps old versions: {versions} of {objects} erased objects still have the rows; --versions \
             deletes them"
        ));
    }
    Ok(())
}

async fn delete_all(store: &S3, key: &str, versions: Vec<String>, report: &mut ErasureReport) {
    for version in versions {
        match store.delete_version(key, &version).await {
            Ok(()) => report.versions_deleted += 1,
            Err(error) => report.left.push(Left {
                what: key.to_owned(),
                why: format!(
                    "its version {version} cannot be deleted, perhaps because of an Object Lock: {error}"
                ),
            }),
        }
    }
}
