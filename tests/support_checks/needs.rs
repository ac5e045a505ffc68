use crate::support::needs::{Need, required};

/// A misspelt name in the environment of these tests would require nothing.
#[test]
fn the_needs_that_this_run_requires_are_known() {
    required(&std::env::var("LAKEHOOK_REQUIRE").unwrap_or_default()).unwrap();
}

#[test]
fn needs_are_required_by_name_or_all_at_once() {
    assert_eq!(required("").unwrap(), []);
    assert_eq!(
        required("valgrind, loop-mounts").unwrap(),
        [Need::Valgrind, Need::LoopMounts]
    );
    assert_eq!(required("all").unwrap(), Need::ALL);
    for need in Need::ALL {
        assert_eq!(required(need.name()).unwrap(), [need]);
    }
    let error = required("valgrind,faketime").unwrap_err();
    assert!(
        error.contains("\"faketime\"") && error.contains("libfaketime"),
        "{error}"
    );
}
