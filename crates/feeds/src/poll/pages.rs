//! Goes from page to page: where the next one is, and whether the pages contradict each other.
//! Pure.
//!
//! ```text
//!  position ── request ─▶ page ── finish ─▶ next position, or the end, or what is wrong
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::definition::PaginationKind;
use crate::errors::RunError;

/// Position of a page to request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// The first page, without a parameter.
    First,
    /// After this many records.
    Offset(u64),
    /// The page with this number.
    Page(u64),
    /// The page of this cursor, which the previous page named.
    Cursor(String),
    /// The page at this URL, which the previous page named.
    Url(String),
}

/// What a page says besides its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// Number of records in the page.
    pub records: u64,
    /// Number of records in all pages, if the page says so.
    pub total: Option<u64>,
    /// Whether the page says that there is a next one.
    pub more: Option<bool>,
    /// The next page's cursor or URL.
    pub next: Option<String>,
    /// Whether the key that should name the next page is absent, rather than null.
    pub next_is_absent: bool,
    /// Hash of the records.
    pub hash: u64,
}

/// Why the pages of a run are not consistent. Each error names the page, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The set changed while it was read; another attempt may find it stable.
    #[error("page {page}: the total was {before} and is {now}: the set changes while it is read")]
    Drift {
        /// Number of the page.
        page: u64,
        /// Total that earlier pages gave.
        before: u64,
        /// Total that this page gives.
        now: u64,
    },
    /// More or fewer records were read than the total says.
    #[error("page {page}: {read} records were read by its end, where the total says {total}")]
    Total {
        /// Number of the page.
        page: u64,
        /// Number of records read.
        read: u64,
        /// Number of records that the total says.
        total: u64,
    },
    /// A page holds the same records as an earlier one.
    #[error(
        "page {page}: it holds the same records as a page before; expected others, so check \
         pagination.type and pagination.param"
    )]
    Repeats {
        /// Number of the page.
        page: u64,
    },
    /// The next page was read before.
    #[error("page {page}: the next page that it names was read before; expected a new one")]
    StandsStill {
        /// Number of the page.
        page: u64,
    },
    /// The page says that there are more records, but has none or names no next page.
    #[error("page {page}: {what}")]
    Contradiction {
        /// Number of the page.
        page: u64,
        /// What contradicts what.
        what: &'static str,
    },
    /// There are more pages than allowed.
    #[error(
        "page {page}: the pages do not end; expected at most {page} (max_pages), which can be raised"
    )]
    Endless {
        /// The most pages that are allowed.
        page: u64,
    },
}

impl From<PageError> for RunError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Drift { .. } => Self::Drift(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// The progress through the pages of one run.
#[derive(Debug)]
pub struct Pages {
    kind: PaginationKind,
    /// Whether a total may grow while pages are read.
    may_grow: bool,
    limit: u64,
    position: Position,
    /// Number of finished pages.
    page: u64,
    read: u64,
    total: Option<u64>,
    contents: HashSet<u64>,
    visited: HashSet<u64>,
}

impl Pages {
    /// Starts at the first page.
    pub fn new(kind: PaginationKind, first: u64, may_grow: bool, max_pages: u64) -> Self {
        let position = match kind {
            PaginationKind::Offset => Position::Offset(0),
            PaginationKind::Page => Position::Page(first),
            _ => Position::First,
        };
        Self::at(kind, position, 0, may_grow, max_pages)
    }

    /// Starts at a position that an earlier run reached, with `read` records before it.
    pub fn at(
        kind: PaginationKind,
        position: Position,
        read: u64,
        may_grow: bool,
        max_pages: u64,
    ) -> Self {
        let mut pages = Self {
            kind,
            may_grow,
            limit: max_pages,
            position,
            page: 0,
            read,
            total: None,
            contents: HashSet::new(),
            visited: HashSet::new(),
        };
        pages.visited.insert(hash_of(&pages.position));
        pages
    }

    /// Position of the current page.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Number of the current page, from 1, in this run.
    pub fn number(&self) -> u64 {
        self.page + 1
    }

    /// Number of records in the finished pages.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Number of records in all pages, once a page has said so.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Finishes the current page: goes on to the next one, or returns `true` if it was the last.
    pub fn finish(&mut self, facts: &PageFacts) -> Result<bool, PageError> {
        let page = self.number();
        self.check_total(page, facts)?;
        self.read += facts.records;
        let pages_repeat = facts.records > 0 && !self.contents.insert(facts.hash);
        if pages_repeat && self.kind != PaginationKind::None {
            return Err(PageError::Repeats { page });
        }
        if let Some(total) = self.total.filter(|total| self.read > *total) {
            let read = self.read;
            return Err(PageError::Total { page, read, total });
        }
        let Some(next) = self.next(page, facts)? else {
            let read = self.read;
            return match self.total.filter(|total| read != *total) {
                Some(total) => Err(PageError::Total { page, read, total }),
                None => Ok(true),
            };
        };
        if !self.visited.insert(hash_of(&next)) {
            return Err(PageError::StandsStill { page });
        }
        if page >= self.limit {
            return Err(PageError::Endless { page });
        }
        self.position = next;
        self.page = page;
        Ok(false)
    }

    fn check_total(&mut self, page: u64, facts: &PageFacts) -> Result<(), PageError> {
        let Some(now) = facts.total else {
            return Ok(());
        };
        match self.total {
            Some(before) if now < before || (now > before && !self.may_grow) => {
                Err(PageError::Drift { page, before, now })
            }
            _ => {
                self.total = Some(now);
                Ok(())
            }
        }
    }

    /// The position of the next page; `None` if there is none.
    fn next(&self, page: u64, facts: &PageFacts) -> Result<Option<Position>, PageError> {
        match &self.position {
            Position::Offset(offset) => {
                let next = Position::Offset(offset + facts.records);
                Ok(self.counts_on(page, facts)?.then_some(next))
            }
            Position::Page(number) => {
                let next = Position::Page(number + 1);
                Ok(self.counts_on(page, facts)?.then_some(next))
            }
            _ => self.named(page, facts),
        }
    }

    /// Whether another page follows, for offsets and numbered pages.
    fn counts_on(&self, page: u64, facts: &PageFacts) -> Result<bool, PageError> {
        match (facts.more, self.total) {
            (Some(true), _) if facts.records == 0 => Err(PageError::Contradiction {
                page,
                what: "it holds no records and says that there are more; expected one or the other",
            }),
            (Some(more), _) => Ok(more),
            (None, Some(total)) => Ok(self.read < total && facts.records > 0),
            (None, None) => Ok(facts.records > 0),
        }
    }

    /// Position of the page that this one names as the next.
    fn named(&self, page: u64, facts: &PageFacts) -> Result<Option<Position>, PageError> {
        let next = facts.next.clone().filter(|_| facts.more != Some(false));
        match (self.kind, next) {
            (PaginationKind::Cursor, Some(cursor)) => Ok(Some(Position::Cursor(cursor))),
            (PaginationKind::NextUrl | PaginationKind::LinkHeader, Some(url)) => {
                Ok(Some(Position::Url(url)))
            }
            (_, None) if facts.more == Some(true) => Err(PageError::Contradiction {
                page,
                what: "it says that there are more records but names no next page; expected both or neither",
            }),
            _ => Ok(None),
        }
    }
}

fn hash_of(position: &Position) -> u64 {
    let text = match position {
        Position::First => "first".to_owned(),
        Position::Offset(offset) => format!("offset {offset}"),
        Position::Page(number) => format!("page {number}"),
        Position::Cursor(cursor) => format!("cursor {cursor}"),
        Position::Url(url) => format!("url {url}"),
    };
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
