#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test; a test may break the disk"
)]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use lakehook_base::side_files::SideFiles;

fn token(kept: &Kept, configured: &str) -> RefreshToken {
    RefreshToken::new(Secret::new(configured), "crm", Some(kept.clone()))
}

fn ready(token: &RefreshToken) -> String {
    token.ready().unwrap().expose().to_owned()
}

#[test]
fn the_newest_token_outlives_the_process_until_another_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::beside(&SideFiles::within(dir.path()));
    let first = token(&kept, "r0");
    assert_eq!(ready(&first), "r0");
    first.replace(Secret::new("r1")).unwrap();
    assert_eq!(ready(&first), "r1");
    assert_eq!(ready(&token(&kept, "r0")), "r1");
    let path = kept.path("crm.token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Somebody authorised again.
    assert_eq!(ready(&token(&kept, "s0")), "s0");
    assert_eq!(ready(&token(&kept, "s0")), "s0");
}

/// Every state of the disk that a crash can leave behind: the old file, perhaps with a new one beside it.
#[test]
fn a_crash_leaves_the_old_token_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::beside(&SideFiles::within(dir.path()));
    let first = token(&kept, "r0");
    ready(&first);
    first.replace(Secret::new("r1")).unwrap();
    let mut temporary = kept.path("crm.token").into_os_string();
    temporary.push(".tmp");
    for torn in ["", "{\"origin\":\"", "{}"] {
        std::fs::write(&temporary, torn).unwrap();
        let next = token(&kept, "r0");
        assert_eq!(ready(&next), "r1", "{torn}");
        next.replace(Secret::new("r1")).unwrap();
    }
}

#[test]
fn nothing_is_used_up_while_it_cannot_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("apis");
    let aside = dir.path().join("aside");
    std::fs::write(&blocked, "in the way").unwrap();
    let kept = Kept::beside(&SideFiles::within(dir.path()));
    let first = token(&kept, "r0");
    assert!(matches!(first.ready(), Err(Trouble::Again { .. })));
    std::fs::remove_file(&blocked).unwrap();
    assert_eq!(ready(&first), "r0");

    // The answer came, and the disk fails then: the new token stays, and is stored before it is used.
    std::fs::rename(&blocked, &aside).unwrap();
    std::fs::write(&blocked, "in the way").unwrap();
    assert!(matches!(
        first.replace(Secret::new("r1")),
        Err(Trouble::Again { .. })
    ));
    assert!(first.ready().is_err());
    std::fs::remove_file(&blocked).unwrap();
    std::fs::rename(&aside, &blocked).unwrap();
    assert_eq!(ready(&first), "r1");
    assert_eq!(ready(&token(&kept, "r0")), "r1");

    let nowhere = RefreshToken::new(Secret::new("r0"), "crm", None);
    assert!(matches!(nowhere.ready(), Err(Trouble::Final(_))));
    std::fs::write(kept.path("crm.token"), "s3cret").unwrap();
    let error = token(&kept, "r0").ready().unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}
