use super::*;

fn rules(kind: PaginationKind) -> Rules {
    Rules {
        kind,
        first: u64::from(kind == PaginationKind::Page),
        limit: None,
        step: Step::Count,
        stop: None,
        may_grow: false,
        has_ids: false,
        max_pages: 100,
    }
}

fn pages(kind: PaginationKind) -> Pages {
    Pages::new(rules(kind))
}

fn stopping(kind: PaginationKind, stop: Stop) -> Pages {
    Pages::new(Rules {
        stop: Some(stop),
        limit: Some(10),
        ..rules(kind)
    })
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

    let mut pages = super::Pages::new(Rules {
        max_pages: 2,
        ..rules(PaginationKind::NextUrl)
    });
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

    let mut growing = Pages::new(Rules {
        may_grow: true,
        ..rules(PaginationKind::Offset)
    });
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
    let mut pages = Pages::new(Rules {
        has_ids: true,
        ..rules(PaginationKind::Offset)
    });
    assert_eq!(pages.finish(&page(2, 7)), Ok(false));
    assert_eq!(
        pages.finish(&page(2, 7)),
        Err(PageError::Repeats { page: 2 })
    );
}

#[test]
fn equal_pages_of_readings_are_no_loop() {
    let mut pages = pages(PaginationKind::Page);
    for hash in [7, 7, 8, 7, 7] {
        assert_eq!(pages.finish(&page(2, hash)), Ok(false));
    }
    let again = pages.finish(&page(2, 7));
    assert_eq!(again, Err(PageError::Repeats { page: 6 }));

    let mut counted = super::Pages::new(rules(PaginationKind::Offset));
    for _ in 0..4 {
        assert_eq!(counted.finish(&with_total(2, 7, 10)), Ok(false));
    }
    assert_eq!(counted.finish(&with_total(2, 7, 10)), Ok(true));

    let mut named = super::Pages::new(rules(PaginationKind::Cursor));
    for cursor in ["a", "b", "c", "d"] {
        let facts = PageFacts {
            next: Some(cursor.to_owned()),
            ..page(2, 7)
        };
        assert_eq!(named.finish(&facts), Ok(false));
    }
}

fn named(records: u64, next: &str) -> PageFacts {
    PageFacts {
        next: Some(next.to_owned()),
        ..page(records, records)
    }
}

#[test]
fn a_link_that_is_always_there_ends_by_a_rule() {
    let mut empty = stopping(PaginationKind::Cursor, Stop::EmptyPage);
    assert_eq!(empty.finish(&named(2, "b")), Ok(false));
    assert_eq!(empty.finish(&named(0, "b")), Ok(true));

    let mut same = stopping(PaginationKind::Cursor, Stop::SameLink);
    assert_eq!(same.finish(&named(2, "b")), Ok(false));
    assert_eq!(same.finish(&named(1, "b")), Ok(true));
    let mut first = stopping(PaginationKind::NextUrl, Stop::SameLink);
    let itself = PageFacts {
        names_itself: true,
        ..named(2, "http://x/")
    };
    assert_eq!(first.finish(&itself), Ok(true));

    let mut short = stopping(PaginationKind::LinkHeader, Stop::ShortPage);
    assert_eq!(short.finish(&named(10, "http://x/2")), Ok(false));
    assert_eq!(short.finish(&named(9, "http://x/3")), Ok(true));
}

#[test]
fn a_page_that_says_so_is_the_last() {
    let told = |records, hash, is_last| PageFacts {
        is_last: Some(is_last),
        next: Some(format!("c{hash}")),
        ..page(records, hash)
    };
    let mut cursor = pages(PaginationKind::Cursor);
    assert_eq!(cursor.finish(&told(2, 1, false)), Ok(false));
    assert_eq!(cursor.finish(&told(2, 2, true)), Ok(true));
    let mut offset = pages(PaginationKind::Offset);
    assert_eq!(offset.finish(&told(2, 1, false)), Ok(false));
    assert_eq!(offset.finish(&told(2, 2, true)), Ok(true));
}

#[test]
fn the_number_of_pages_is_the_end_wherever_they_begin() {
    let of = |pages, records, hash| PageFacts {
        pages: Some(pages),
        ..page(records, hash)
    };
    for first in [0, 1] {
        let mut numbered = Pages::new(Rules {
            first,
            ..rules(PaginationKind::Page)
        });
        assert_eq!(numbered.finish(&of(3, 2, 1)), Ok(false));
        // A page may be empty because all of its records are hidden.
        assert_eq!(numbered.finish(&of(3, 0, 0)), Ok(false));
        assert_eq!(numbered.finish(&of(3, 2, 3)), Ok(true));
    }
    let mut none = pages(PaginationKind::Page);
    assert_eq!(none.finish(&of(0, 0, 0)), Ok(true));
}

#[test]
fn offsets_begin_and_go_on_as_the_api_counts() {
    let mut from_one = Pages::new(Rules {
        first: 1,
        ..rules(PaginationKind::Offset)
    });
    assert_eq!(from_one.position(), &Position::Offset(1));
    assert_eq!(from_one.finish(&with_total(2, 1, 4)), Ok(false));
    assert_eq!(from_one.position(), &Position::Offset(3));
    assert_eq!(from_one.finish(&with_total(2, 2, 4)), Ok(true));

    // Two of five records are hidden: one on the first page, one on the last.
    let mut hidden = Pages::new(Rules {
        step: Step::Limit,
        limit: Some(2),
        ..rules(PaginationKind::Offset)
    });
    assert_eq!(hidden.finish(&with_total(1, 1, 5)), Ok(false));
    assert_eq!(hidden.position(), &Position::Offset(2));
    assert_eq!(hidden.finish(&with_total(2, 2, 5)), Ok(false));
    assert_eq!(hidden.position(), &Position::Offset(4));
    assert_eq!(hidden.finish(&with_total(0, 0, 5)), Ok(true));
}
