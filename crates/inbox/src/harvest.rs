//! What reading a file has come to, before anything of it counts.

use std::collections::HashMap;

use super::fresh_ids::FreshIds;
use super::plan::FilesPlan;
use super::report::LineCounts;
use lakehook_base::record::Rows;
use lakehook_contract::quarantine::FieldError;
use lakehook_feeds::guards::Tally;
use lakehook_lake::encode::TypedRows;

/// What was read of one file.
#[derive(Default)]
pub(crate) struct Harvest {
    /// Rows of the stream and of the quarantine that nobody has fetched yet.
    pub(crate) rows: Rows,
    /// In their place, rows of the stream by column, if objects have columns that are known before.
    pub(crate) typed: Option<TypedRows>,
    pub(crate) counts: LineCounts,
    pub(crate) tally: Tally,
    /// The first refused records, as rows of the quarantine.
    pub(crate) evidence: Rows,
    pub(crate) samples: Vec<String>,
    /// What was wrong with the last refused record.
    pub(crate) last_error: Option<FieldError>,
    /// How many values rules have made null, by the index of the rule.
    pub(crate) nulls: HashMap<u32, u64>,
    /// How many values do not fit a found column, by its index.
    pub(crate) unfit: HashMap<u32, u64>,
    /// The ids of the file that were new, if other files of the run may be read beside it.
    pub(crate) own_ids: FreshIds,
}

impl Harvest {
    /// Bytes of the rows that nobody has fetched yet, about.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes.len() + self.typed.as_ref().map_or(0, TypedRows::bytes)
    }

    /// What is to be told of values that do not fit the columns which were found in earlier records.
    pub(crate) fn unfit_values(
        &self,
        plan: &FilesPlan,
        file: &str,
    ) -> impl Iterator<Item = String> {
        let (live, stream) = (plan.entities.live(), &plan.name);
        self.unfit.iter().filter_map(move |(index, count)| {
            let column = live?.column(*index)?;
            Some(format!(
                "{file}: {count} values of {} do not fit its column, which holds {}, and stand under extra; a schema says \
                 what a column holds (lakehook schema {stream} prints one to edit)",
                column.name, column.kind
            ))
        })
    }
}
