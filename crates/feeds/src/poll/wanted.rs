//! What is wanted of a page: which values at which places.

use http::HeaderName;

use super::form::{BodyFormat, Condition, CsvForm, Empty, NextAs, PageForm, RecordsAs};
use super::place::{Place, Source, Step};

/// Where APIs tell an error, if nobody says where. The first ones mean that there is one; the others
/// may be there all the time.
const ERRORS: [&str; 7] = [
    "/error/message",
    "/error",
    "/error_description",
    "/errors/0/message",
    "/errors/0/detail",
    "/errors/0/title",
    "/errors/0",
];
const REMARKS: [&str; 3] = ["/message", "/detail", "/title"];
/// Where APIs say whether they did what they were asked for.
const VERDICTS: [&str; 2] = ["/ok", "/success"];
/// Where APIs often say that there is a next page.
const HINTS: [&str; 20] = [
    "/has_more",
    "/hasMore",
    "/has_next",
    "/hasNext",
    "/next",
    "/next_page",
    "/nextPage",
    "/next_cursor",
    "/nextCursor",
    "/next_page_token",
    "/nextPageToken",
    "/@odata.nextLink",
    "/links/next",
    "/_links/next/href",
    "/paging/next",
    "/paging/next/after",
    "/meta/next_cursor",
    "/pagination/next",
    "/response_metadata/next_cursor",
    "/pageInfo/hasNextPage",
];

/// A set of wanted values, one bit for each.
pub(super) type Set = u64;

/// The records, in a set.
pub(super) const RECORDS: Set = 1;

/// One kind of value that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The records.
    Records,
    /// The number of all records.
    Total,
    /// Whether that number is exact.
    Relation,
    /// The number of pages.
    Pages,
    /// Whether there is a next page.
    More,
    /// The next page's cursor or URL.
    Next,
    /// Whether this page is the last.
    Last,
    /// Whether the page reports a failure.
    Failure,
    /// The token that the next run begins with.
    Token,
    /// The text of an error, where the configuration says that it is.
    Error,
    /// The text of an error, in a usual place: only if there is one, or perhaps a remark.
    UsualError {
        /// Whether the place may hold something else.
        is_remark: bool,
    },
    /// Whether the API did what it was asked for, in a usual place.
    Verdict,
    /// A hint that there is a next page.
    Hint,
}

impl What {
    /// Whether the value may be missing, or be something else, without a word.
    fn is_soft(self) -> bool {
        matches!(
            self,
            Self::Error | Self::UsualError { .. } | Self::Verdict | Self::Hint
        )
    }

    /// What is expected in the place, in words.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Records => "a list of records",
            Self::Total | Self::Pages => "a whole number",
            Self::More => "true or false",
            Self::Next => {
                "null, text of at most 64 KiB that names the next page, or a link with href or url; \
                 pagination.next_as takes a list or an object"
            }
            Self::Token => "text of at most 64 KiB",
            _ => "a single value",
        }
    }
}

/// A value that is wanted in the body.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) what: What,
    pub(super) place: Place,
}

/// All that is wanted of the pages of a poll.
#[derive(Clone, Debug)]
pub struct Wanted {
    targets: Vec<Target>,
    soft: Set,
    pub(super) records_as: RecordsAs,
    pub(super) format: BodyFormat,
    pub(super) csv: CsvForm,
    pub(super) map_key: Option<String>,
    /// How what names the next page goes into the request.
    pub(super) next_as: NextAs,
    pub(super) empty: Empty,
    pub(super) fail_if: Option<Condition>,
    pub(super) stop: Option<Condition>,
    /// What is wanted of the headers.
    pub(super) headers: Vec<(What, HeaderName)>,
    /// What is wanted of the first or last record, and whether it is the last.
    pub(super) edge: Option<(Place, bool)>,
}

/// The places of the values that lead from page to page.
#[derive(Clone, Debug, Default)]
pub struct Steering<'a> {
    /// Where the next page is named.
    pub next: Option<&'a str>,
    /// How that goes into the request.
    pub next_as: NextAs,
    /// Where a page says whether there is a next one.
    pub more: Option<&'a str>,
    /// Where the number of pages is.
    pub pages: Option<&'a str>,
    /// What the last page says.
    pub stop: Option<&'a Condition>,
    /// Where the token is that the next run begins with.
    pub token: Option<&'a str>,
    /// Whether it is noted when a page hints at a next one.
    pub takes_hints: bool,
}

impl Wanted {
    /// What is wanted of pages of this form.
    pub fn new(form: &PageForm, steering: &Steering<'_>) -> Result<Self, String> {
        let records = Place::parse_each(&form.records)?;
        let mut wanted = Self {
            targets: vec![Target {
                what: What::Records,
                place: records,
            }],
            soft: 0,
            records_as: form.records_as,
            format: form.format,
            csv: form.csv,
            map_key: form.map_key.as_deref().map(quoted),
            next_as: steering.next_as,
            empty: form.empty,
            fail_if: form.fail_if.clone(),
            stop: steering.stop.cloned(),
            headers: Vec::new(),
            edge: None,
        };
        for (what, text) in [
            (What::Total, form.total.as_deref()),
            (What::Pages, steering.pages),
            (What::More, steering.more),
            (What::Next, steering.next),
            (What::Token, steering.token),
        ] {
            if let Some(text) = text {
                wanted.add_source(what, Source::parse(text)?);
            }
        }
        if let Some(condition) = &form.fail_if {
            wanted.add(What::Failure, Place::parse(&condition.pointer)?);
        }
        if let Some(condition) = steering.stop {
            wanted.add(What::Last, Place::parse(&condition.pointer)?);
        }
        if let Some(pointer) = &form.error {
            wanted.add(What::Error, Place::parse(pointer)?);
        }
        wanted.add_usual(steering.takes_hints)?;
        Ok(wanted)
    }

    fn add_source(&mut self, what: What, source: Source) {
        match source {
            Source::Header(name) => self.headers.push((what, name)),
            Source::First(place) => self.edge = Some((place, false)),
            Source::Last(place) => self.edge = Some((place, true)),
            Source::Body(place) => {
                let is_value =
                    matches!(place.steps().last(), Some(Step::Key(key, _)) if key == "value");
                if what == What::Total && is_value {
                    self.add(What::Relation, place.beside("relation"));
                }
                self.add(what, place);
            }
        }
    }

    /// Adds what is looked for in the usual places.
    fn add_usual(&mut self, takes_hints: bool) -> Result<(), String> {
        let error = |is_remark| What::UsualError { is_remark };
        let errors = ERRORS.map(|place| (error(false), place));
        let remarks = REMARKS.map(|place| (error(true), place));
        let verdicts = VERDICTS.map(|place| (What::Verdict, place));
        let hints = HINTS.map(|place| (What::Hint, place));
        let hints = hints.into_iter().filter(|_| takes_hints);
        let all = errors.into_iter().chain(remarks).chain(verdicts);
        for (what, pointer) in all.chain(hints) {
            self.add(what, Place::parse(pointer)?);
        }
        Ok(())
    }

    fn add(&mut self, what: What, place: Place) {
        if what.is_soft() {
            self.soft |= 1 << self.targets.len();
        }
        self.targets.push(Target { what, place });
    }

    /// Everything that is wanted.
    pub(super) fn all(&self) -> Set {
        (1 << self.targets.len()) - 1
    }

    /// Those of a set that are missed if they are not there.
    pub(super) fn hard(&self, set: Set) -> Set {
        set & !self.soft
    }

    /// The records.
    pub(super) fn records(&self) -> &Place {
        &self.targets[0].place
    }

    pub(super) fn target(&self, index: u32) -> &Target {
        &self.targets[index as usize]
    }

    /// Those of a set whose place has this many steps.
    pub(super) fn ending(&self, set: Set, depth: usize) -> Set {
        self.filter(set, |place| place.steps().len() == depth)
    }

    /// Those of a set that may lie below a key.
    pub(super) fn below_key(&self, set: Set, depth: usize, key: &str) -> Set {
        self.filter(set, |place| place.steps()[depth].takes_key(key))
    }

    /// Those of a set that may lie below an index.
    pub(super) fn below_index(&self, set: Set, depth: usize, index: u64) -> Set {
        self.filter(set, |place| place.steps()[depth].takes_index(index))
    }

    /// Those of a set that may lie in a list.
    pub(super) fn in_lists(&self, set: Set, depth: usize) -> Set {
        self.filter(set, |place| place.steps()[depth].may_be_index())
    }

    fn filter(&self, set: Set, is_in: impl Fn(&Place) -> bool) -> Set {
        bits(set)
            .filter(|index| is_in(&self.target(*index).place))
            .fold(0, |found, index| found | 1 << index)
    }
}

/// The indices of a set.
pub(super) fn bits(mut set: Set) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let index = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(index)
    })
}

/// A key as JSON.
fn quoted(key: &str) -> String {
    serde_json::Value::from(key).to_string()
}
