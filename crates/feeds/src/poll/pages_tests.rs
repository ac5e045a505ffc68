use super::*;

fn pages(kind: PaginationKind) -> Pages {
    Pages::new(kind, 1, false, 100)
}

/// A page with this number of records, which no other page has.
fn page(records: u64, hash: u64) -> PageFacts {
    PageFacts {
        records,
        hash,
        ..PageFacts::default()
    }
}

fn with_total(records: u64, hash: u64, total: u64) -> PageFacts {
    PageFacts {
        total: Some(total),
        ..page(records, hash)
    }
}

#[test]
fn offsets_go_on_until_the_total_is_read() {
    let mut pages = pages(PaginationKind::Offset);
    assert_eq!(pages.position(), &Position::Offset(0));
    assert_eq!(pages.finish(&with_total(200, 1, 300)), Ok(false));
    assert_eq!(pages.position(), &Position::Offset(200));
    assert_eq!(pages.number(), 2);
    assert_eq!(pages.finish(&with_total(100, 2, 300)), Ok(true));
    assert_eq!(pages.read(), 300);
}

#[test]
fn without_a_total_or_a_flag_an_empty_page_is_the_end() {
    let mut pages = pages(PaginationKind::Page);
    assert_eq!(pages.finish(&page(3, 1)), Ok(false));
    assert_eq!(pages.finish(&page(1, 2)), Ok(false));
    assert_eq!(pages.position(), &Position::Page(3));
    assert_eq!(pages.finish(&page(0, 0)), Ok(true));
}

#[test]
fn a_flag_says_whether_there_is_more() {
    let flagged = |records, hash, more| PageFacts {
        more: Some(more),
        ..page(records, hash)
    };
    let mut pages = pages(PaginationKind::Offset);
    assert_eq!(pages.finish(&flagged(2, 1, true)), Ok(false));
    let empty = pages.finish(&flagged(0, 0, true));
    assert!(matches!(
        empty,
        Err(PageError::Contradiction { page: 2, .. })
    ));
    assert_eq!(pages.finish(&flagged(2, 2, false)), Ok(true));
}

#[test]
fn cursors_and_urls_are_followed_to_their_end() {
    let named = |hash, next: Option<&str>| PageFacts {
        next: next.map(str::to_owned),
        ..page(1, hash)
    };
    let mut pages = pages(PaginationKind::Cursor);
    assert_eq!(pages.finish(&named(1, Some("b"))), Ok(false));
    assert_eq!(pages.position(), &Position::Cursor("b".to_owned()));
    let still = pages.finish(&named(2, Some("b")));
    assert_eq!(still, Err(PageError::StandsStill { page: 2 }));
    assert_eq!(pages.finish(&named(3, None)), Ok(true));

    let mut pages = super::Pages::new(PaginationKind::NextUrl, 1, false, 2);
    assert_eq!(pages.finish(&named(1, Some("/b"))), Ok(false));
    assert_eq!(pages.position(), &Position::Url("/b".to_owned()));
    let endless = pages.finish(&named(2, Some("/c")));
    assert_eq!(endless, Err(PageError::Endless { page: 2 }));
}

#[test]
fn a_flag_and_a_missing_cursor_contradict_each_other() {
    let mut pages = pages(PaginationKind::Cursor);
    let facts = PageFacts {
        more: Some(true),
        ..page(1, 1)
    };
    let error = pages.finish(&facts);
    assert!(matches!(
        error,
        Err(PageError::Contradiction { page: 1, .. })
    ));
}

#[test]
fn a_total_that_changes_is_drift_and_one_that_is_missed_an_error() {
    let mut drifting = pages(PaginationKind::Offset);
    assert_eq!(drifting.finish(&with_total(2, 1, 4)), Ok(false));
    let (page, before, now) = (2, 4, 5);
    let drift = PageError::Drift { page, before, now };
    assert_eq!(drifting.finish(&with_total(2, 2, 5)), Err(drift));

    let mut growing = Pages::new(PaginationKind::Offset, 1, true, 100);
    assert_eq!(growing.finish(&with_total(2, 1, 4)), Ok(false));
    assert_eq!(growing.finish(&with_total(2, 2, 5)), Ok(false));
    let shrunk = growing.finish(&with_total(1, 3, 4));
    assert!(matches!(shrunk, Err(PageError::Drift { page: 3, .. })));

    let mut short = pages(PaginationKind::None);
    let (page, read, total) = (1, 2, 4);
    let missed = PageError::Total { page, read, total };
    assert_eq!(short.finish(&with_total(2, 1, 4)), Err(missed));
    let mut long = pages(PaginationKind::Offset);
    let too_many = long.finish(&with_total(5, 1, 4));
    assert!(matches!(too_many, Err(PageError::Total { read: 5, .. })));
    let mut empty = pages(PaginationKind::Offset);
    assert_eq!(empty.finish(&with_total(2, 1, 4)), Ok(false));
    let stops = empty.finish(&with_total(0, 0, 4));
    assert!(matches!(stops, Err(PageError::Total { page: 2, .. })));
}

#[test]
fn a_page_that_repeats_is_an_error() {
    let mut pages = pages(PaginationKind::Offset);
    assert_eq!(pages.finish(&page(2, 7)), Ok(false));
    assert_eq!(
        pages.finish(&page(2, 7)),
        Err(PageError::Repeats { page: 2 })
    );
}
