//! The formats of objects: their names, and how they lay out rows.

pub use lakehook_base::codec::Codec;

/// The format of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, compressed with zstd.
    #[default]
    NdjsonZst,
    /// One JSON object per line, compressed with gzip.
    NdjsonGz,
    /// One JSON object per line, not compressed.
    Ndjson,
    /// Typed columns.
    Parquet,
}

/// How the rows of an object are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON object per line, in the order of the log, compressed as a whole.
    Lines(Codec),
    /// Typed columns, sorted by time.
    Columns,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::NdjsonZst, Self::NdjsonGz, Self::Ndjson, Self::Parquet];

    /// The format's name, which is also the suffix of object keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NdjsonZst => "ndjson.zst",
            Self::NdjsonGz => "ndjson.gz",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// The format with a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The format of the object with that key.
    pub fn of_key(key: &str) -> Option<Self> {
        let mut formats = Self::ALL.into_iter();
        formats.find(|format| {
            let stem = key.strip_suffix(format.as_str());
            stem.is_some_and(|stem| stem.ends_with('.'))
        })
    }

    /// Media type of the objects.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::NdjsonZst => "application/zstd",
            Self::NdjsonGz => "application/gzip",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// How the log compresses rows on their way in: as the objects do, so that what it holds can be
    /// copied. Columns are made from lines anyway; those are compressed for the log's sake.
    pub fn packed_with(self) -> Option<Codec> {
        match self.layout() {
            Layout::Lines(Codec::Plain) => None,
            Layout::Lines(codec) => Some(codec),
            Layout::Columns => Some(Codec::Zst),
        }
    }

    /// How the objects lay out rows.
    pub fn layout(self) -> Layout {
        match self {
            Self::NdjsonZst => Layout::Lines(Codec::Zst),
            Self::NdjsonGz => Layout::Lines(Codec::Gz),
            Self::Ndjson => Layout::Lines(Codec::Plain),
            Self::Parquet => Layout::Columns,
        }
    }
}

impl Layout {
    /// Whether values have the types of their columns, so that a column must never change its type.
    pub fn is_typed(self) -> bool {
        match self {
            Self::Lines(_) => false,
            Self::Columns => true,
        }
    }

    /// Most copies of a batch that are on disk while its object is made: columns are sorted in
    /// files beside the object.
    pub fn spooled_copies(self) -> u64 {
        match self {
            Self::Lines(_) => 1,
            Self::Columns => 2,
        }
    }
}
