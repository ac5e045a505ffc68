//! Rows of tables that go straight from their text into columns, where the schema is simple enough for that.

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
    /// The values of the row that was read last.
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
        let names: usize = row.heads.names().map(|name| name.len() + 4).sum();
        Some(Self {
            table,
            received_at: typed.column("received_at")?,
            file: typed.column("file")?,
            line: typed.column("line")?,
            around: FRAME_BYTES + file.len() + names,
            values: Vec::with_capacity(columns.len()),
            columns,
            id: None,
        })
    }

    /// Reads the values of a row and its id; `false` if it must take the other way.
    pub(crate) fn read(&mut self, row: &TableRow<'_>) -> bool {
        self.values.clear();
        for index in 0..self.columns.len() {
            let cell = row.cell(index);
            let value = if row.heads.is_null(cell) {
                self.table.null(index)
            } else {
                self.table.value(index, cell)
            };
            let Some(value) = value else {
                return false;
            };
            self.values.push(value);
        }
        self.id = self.table.id(&self.values, |index| row.cell(index));
        self.id.is_some() || !self.table.has_ids()
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
