//! Statistics of an object's columns once it is written: bounds of the values, and how many are
//! null.
//!
//! Engines skip objects by such bounds, so they may be wider than the values, but never narrower.

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use lakehook_base::tables::Table;

/// Statistics of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStatistics {
    /// The column's name.
    pub column: String,
    /// Number of rows without a value, if it is known.
    pub nulls: Option<u64>,
    /// Lower and upper bound of the values. `None` if they are not known, or if there is no value
    /// at all.
    pub bounds: Option<(Bound, Bound)>,
}

/// A bound of a column's values.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Bound {
    /// A whole number, a time in microseconds or a date in days since 1970, or a decimal in units of its last
    /// digit.
    Whole(i64),
    /// A number.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// UTF-8, compared byte by byte; long texts are cut.
    Text(Vec<u8>),
}

/// Statistics over all row groups of a Parquet file with the columns of `table`.
pub(super) fn of_groups(table: &Table, groups: &[RowGroupMetaData]) -> Vec<ColumnStatistics> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(index, column)| {
            let chunks = groups.iter().map(|group| group.column(index));
            over_chunks(&column.name, chunks)
        })
        .collect()
}

fn over_chunks<'a>(
    name: &str,
    chunks: impl Iterator<Item = &'a ColumnChunkMetaData>,
) -> ColumnStatistics {
    let mut nulls = Some(0);
    let mut bounds = None;
    let mut all_are_known = true;
    for chunk in chunks {
        let statistics = chunk.statistics();
        let own_nulls = statistics.and_then(Statistics::null_count_opt);
        nulls = nulls.zip(own_nulls).map(|(sum, own)| sum + own);
        if own_nulls == u64::try_from(chunk.num_values()).ok() {
            continue;
        }
        match statistics.and_then(bounds_of) {
            Some(own) => bounds = Some(widest(bounds, own)),
            None => all_are_known = false,
        }
    }
    ColumnStatistics {
        column: name.to_owned(),
        nulls,
        bounds: bounds.filter(|_| all_are_known),
    }
}

fn widest(bounds: Option<(Bound, Bound)>, own: (Bound, Bound)) -> (Bound, Bound) {
    let Some((lower, upper)) = bounds else {
        return own;
    };
    let lower = if own.0 < lower { own.0 } else { lower };
    let upper = if own.1 > upper { own.1 } else { upper };
    (lower, upper)
}

fn bounds_of(statistics: &Statistics) -> Option<(Bound, Bound)> {
    Some(match statistics {
        Statistics::Int32(of) => {
            let (min, max) = (*of.min_opt()?, *of.max_opt()?);
            (Bound::Whole(min.into()), Bound::Whole(max.into()))
        }
        Statistics::Int64(of) => (Bound::Whole(*of.min_opt()?), Bound::Whole(*of.max_opt()?)),
        Statistics::Double(of) => (Bound::Double(*of.min_opt()?), Bound::Double(*of.max_opt()?)),
        Statistics::Boolean(of) => {
            let (min, max) = (*of.min_opt()?, *of.max_opt()?);
            (Bound::Boolean(min), Bound::Boolean(max))
        }
        Statistics::ByteArray(of) => {
            let (min, max) = (of.min_opt()?.data(), of.max_opt()?.data());
            (Bound::Text(min.to_vec()), Bound::Text(max.to_vec()))
        }
        _ => return None,
    })
}
