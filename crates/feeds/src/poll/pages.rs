//! Goes from page to page: where the next one is, and whether the pages contradict each other.
//! Pure.
//!
//! ```text
//!  position ── request ─▶ page ── finish ─▶ next position, or the end, or what is wrong
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::definition::PaginationKind;
use super::facts::PageFacts;
use super::form::{Step, Stop};
use crate::errors::RunError;

/// Most equal pages in a row of records without ids.
const MAX_EQUAL_PAGES: u32 = 2;

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

/// The rules by which one page leads to the next.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The kind of pagination.
    pub kind: PaginationKind,
    /// Number of the first page, or offset of the first record.
    pub first: u64,
    /// Number of records that a page should have.
    pub limit: Option<u64>,
    /// How far an offset goes on.
    pub step: Step,
    /// When a page is the last one, although it may name a next one.
    pub stop: Option<Stop>,
    /// Whether a total may grow while pages are read.
    pub may_grow: bool,
    /// Whether records have ids, so that no two pages are equal.
    pub has_ids: bool,
    /// Most pages of a run.
    pub max_pages: u64,
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
    #[error(
        "page {page}: the next page that it names was read before; expected a new one. If the last page \
         names itself, set pagination.stop = \"same-link\""
    )]
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
    rules: Rules,
    position: Position,
    /// Number of finished pages.
    page: u64,
    read: u64,
    total: Option<u64>,
    contents: HashSet<u64>,
    /// Hash of the records of the last page, and how many pages in a row had it.
    in_a_row: (u64, u32),
    visited: HashSet<u64>,
}

impl Pages {
    /// Starts at the first page.
    pub fn new(rules: Rules) -> Self {
        let position = match rules.kind {
            PaginationKind::Offset => Position::Offset(rules.first),
            PaginationKind::Page => Position::Page(rules.first),
            _ => Position::First,
        };
        Self::at(rules, position, 0)
    }

    /// Starts at a position that an earlier run reached, with `read` records before it.
    pub fn at(rules: Rules, position: Position, read: u64) -> Self {
        let mut pages = Self {
            rules,
            position,
            page: 0,
            read,
            total: None,
            contents: HashSet::new(),
            in_a_row: (0, 0),
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

    /// Whether no page was read before this one, in this run or in the one that it goes on with.
    pub fn is_first(&self) -> bool {
        self.page == 0 && self.read == 0
    }

    /// Finishes the current page: goes on to the next one, or returns `true` if it was the last.
    pub fn finish(&mut self, facts: &PageFacts) -> Result<bool, PageError> {
        let page = self.number();
        self.check_total(page, facts)?;
        self.read += facts.records;
        self.check_repeats(page, facts)?;
        // Records that the API hides count in its total, if offsets go on by the limit.
        let is_exact = self.rules.step == Step::Count;
        let total = self.total.filter(|_| is_exact);
        let read = self.read;
        if let Some(total) = total.filter(|total| read > *total) {
            return Err(PageError::Total { page, read, total });
        }
        let Some(next) = self.next(page, facts)? else {
            return match total.filter(|total| read != *total) {
                Some(total) => Err(PageError::Total { page, read, total }),
                None => Ok(true),
            };
        };
        if !self.visited.insert(hash_of(&next)) {
            return Err(PageError::StandsStill { page });
        }
        if page >= self.rules.max_pages {
            return Err(PageError::Endless { page });
        }
        self.position = next;
        self.page = page;
        Ok(false)
    }

    /// Checks that the page is not one that was read before. Without ids, two pages of readings may be
    /// equal; then the API tells where the next page is, or how many records there are, or only a row
    /// of equal pages is taken for a loop.
    fn check_repeats(&mut self, page: u64, facts: &PageFacts) -> Result<(), PageError> {
        let kind = self.rules.kind;
        let is_counted = matches!(kind, PaginationKind::Offset | PaginationKind::Page);
        if facts.records == 0 || !is_counted {
            return Ok(());
        }
        let is_new = self.contents.insert(facts.hash);
        let (hash, count) = self.in_a_row;
        let count = if hash == facts.hash { count + 1 } else { 1 };
        self.in_a_row = (facts.hash, count);
        let is_loop = if self.rules.has_ids {
            !is_new
        } else {
            self.total.is_none() && count > MAX_EQUAL_PAGES
        };
        if is_loop {
            return Err(PageError::Repeats { page });
        }
        Ok(())
    }

    fn check_total(&mut self, page: u64, facts: &PageFacts) -> Result<(), PageError> {
        let Some(now) = facts.total else {
            return Ok(());
        };
        match self.total {
            Some(before) if now < before || (now > before && !self.rules.may_grow) => {
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
        if self.is_last(facts) {
            return Ok(None);
        }
        let next = match &self.position {
            Position::Offset(offset) => {
                let step = match self.rules.step {
                    Step::Count => facts.records,
                    Step::Limit => self.rules.limit.unwrap_or(facts.records),
                };
                let next = offset.saturating_add(step);
                let goes_on = self.counts_on(page, next, facts)?;
                goes_on.then_some(Position::Offset(next))
            }
            Position::Page(number) => {
                let goes_on = self.counts_on(page, self.read + self.rules.first, facts)?;
                goes_on.then_some(Position::Page(number.saturating_add(1)))
            }
            _ => self.named(page, facts)?,
        };
        let is_here = next.as_ref() == Some(&self.position) || facts.names_itself;
        Ok(next.filter(|_| !(is_here && self.rules.stop == Some(Stop::SameLink))))
    }

    /// Whether the page is the last one by the configured rule.
    fn is_last(&self, facts: &PageFacts) -> bool {
        let by_rule = match &self.rules.stop {
            Some(Stop::EmptyPage) => facts.records == 0,
            Some(Stop::ShortPage) => {
                let limit = self.rules.limit;
                limit.is_some_and(|limit| facts.records < limit)
            }
            _ => false,
        };
        let is_last_number = match (&self.position, facts.pages) {
            (Position::Page(number), Some(pages)) => {
                number.saturating_sub(self.rules.first).saturating_add(1) >= pages
            }
            _ => false,
        };
        by_rule || is_last_number || facts.is_last == Some(true)
    }

    /// Whether another page follows, for offsets and numbered pages. `next` is the offset after this
    /// page.
    fn counts_on(&self, page: u64, next: u64, facts: &PageFacts) -> Result<bool, PageError> {
        let more = facts.more.or(facts.is_last.map(|is_last| !is_last));
        let may_be_empty = self.rules.step == Step::Limit;
        let has_some = facts.records > 0 || may_be_empty;
        match (more, facts.pages, self.total) {
            (Some(true), _, _) if !has_some => Err(PageError::Contradiction {
                page,
                what: "it holds no records and says that there are more; expected one or the other",
            }),
            (Some(more), _, _) => Ok(more),
            // Whether this is the last of them was judged by its number.
            (None, Some(_), _) => Ok(true),
            (None, None, Some(total)) => {
                let read = next.saturating_sub(self.rules.first);
                Ok(read < total && has_some)
            }
            (None, None, None) => Ok(facts.records > 0),
        }
    }

    /// Position of the page that this one names as the next.
    fn named(&self, page: u64, facts: &PageFacts) -> Result<Option<Position>, PageError> {
        let next = facts.next.clone().filter(|_| facts.more != Some(false));
        match (self.rules.kind, next) {
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
