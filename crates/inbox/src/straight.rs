//! Rows of tables that go straight from their text into columns, where the schema is simple enough for that.

use std::ops::Range;

use super::plan::FilesPlan;
use super::table_row::TableRow;
use lakehook_base::columns::CellValue;
use lakehook_base::record::Origin;
use lakehook_contract::straight::StraightTable;
use lakehook_lake::encode::TypedRows;

/// Bytes that a row has as a line besides its values, its names and the name of its file.
const FRAME_BYTES: usize = 100;

/// The way of one file's rows.
pub(crate) struct StraightRows {
    table: StraightTable,
    /// The column of the object for each column of the file.
    columns: Vec<usize>,
    received_at: usize,
    file: usize,
    line: usize,
    /// Bytes of a line besides the values.
    around: usize,
    /// The columns of the file, those of the id first, …
    order: Vec<usize>,
    /// … and how many those are.
    ids: usize,
    /// The values of the row that was read last, in the order of the file.
    values: Vec<CellValue>,
    /// The hash of its id, if rows have ids.
    pub(crate) id: Option<u128>,
}

impl StraightRows {
    /// The way for a file with the columns of this row; `None` if its rows must take the other way.
    pub(crate) fn new(
        plan: &FilesPlan,
        row: &TableRow<'_>,
        file: &str,
        typed: &TypedRows,
    ) -> Option<Self> {
        let table = plan.entities.straight(row.heads.names())?;
        let columns = row.heads.names().map(|name| typed.column(name));
        let columns = columns.collect::<Option<Vec<usize>>>()?;
        let (order, ids) = ids_first(&table, columns.len());
        let names: usize = row.heads.names().map(|name| name.len() + 4).sum();
        Some(Self {
            table,
            received_at: typed.column("received_at")?,
            file: typed.column("file")?,
            line: typed.column("line")?,
            around: FRAME_BYTES + file.len() + names,
            order,
            ids,
            values: vec![CellValue::Null; columns.len()],
            columns,
            id: None,
        })
    }

    /// Reads the id of a row; `false` if it must take the other way.
    pub(crate) fn read_id(&mut self, row: &TableRow<'_>) -> bool {
        if !self.read(row, 0..self.ids) {
            return false;
        }
        self.id = self.table.id(&self.values, |index| row.cell(index));
        self.id.is_some() || !self.table.has_ids()
    }

    /// Reads the values of a row that are not part of its id; `false` if it must take the other way.
    pub(crate) fn read_others(&mut self, row: &TableRow<'_>) -> bool {
        self.read(row, self.ids..self.order.len())
    }

    fn read(&mut self, row: &TableRow<'_>, which: Range<usize>) -> bool {
        for index in &self.order[which] {
            let cell = row.cell(*index);
            let value = if row.heads.is_null(cell) {
                self.table.null(*index)
            } else {
                self.table.value(*index, cell)
            };
            let Some(value) = value else {
                return false;
            };
            self.values[*index] = value;
        }
        true
    }

    /// Adds the row that was read last.
    pub(crate) fn push(
        &self,
        row: &TableRow<'_>,
        origin: &Origin,
        file: &str,
        typed: &mut TypedRows,
    ) {
        typed.push_cell(
            self.received_at,
            CellValue::Whole(origin.received_at.0),
            b"",
        );
        typed.push_cell(self.file, CellValue::Text, file.as_bytes());
        let line = i64::try_from(row.line).unwrap_or(i64::MAX);
        typed.push_cell(self.line, CellValue::Whole(line), b"");
        for (index, (column, value)) in self.columns.iter().zip(&self.values).enumerate() {
            typed.push_cell(*column, *value, row.cell(index));
        }
        typed.end_row(self.around + row.raw.len());
    }
}

/// All columns of a table, those of the id first; and how many those are.
fn ids_first(table: &StraightTable, columns: usize) -> (Vec<usize>, usize) {
    let is_id = |index: &usize| table.ids().contains(index);
    let ids = (0..columns).filter(is_id);
    let others = (0..columns).filter(|index| !is_id(index));
    let order: Vec<usize> = ids.chain(others).collect();
    (order, (0..columns).filter(is_id).count())
}
