//! Rows of tables that go straight from their text into columns, where the schema is simple enough for that.
//!
//! They are read a batch at a time, and column by column.

use super::id_entry::IdEntry;
use super::plan::FilesPlan;
use super::row_batch::RowBatch;
use super::table_row::RowScratch;
use lakehook_base::columns::CellValue;
use lakehook_base::record::Origin;
use lakehook_contract::straight::{ReadColumn, StraightTable};
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
    /// The columns of the file in the rows that were read last, …
    read: Vec<ReadColumn>,
    /// … which of these rows certainly are valid, …
    fits: Vec<bool>,
    /// … and their ids, if rows have ids.
    ids: Vec<u128>,
}

impl StraightRows {
    /// The way for a file with the columns of this batch; `None` if its rows must take the other way.
    pub(crate) fn new(
        plan: &FilesPlan,
        batch: RowBatch<'_>,
        file: &str,
        typed: &TypedRows,
    ) -> Option<Self> {
        let table = plan.entities.straight(batch.heads.names())?;
        let columns = batch.heads.names().map(|name| typed.column(name));
        let columns = columns.collect::<Option<Vec<usize>>>()?;
        let names: usize = batch.heads.names().map(|name| name.len() + 4).sum();
        Some(Self {
            table,
            received_at: typed.column("received_at")?,
            file: typed.column("file")?,
            line: typed.column("line")?,
            around: FRAME_BYTES + file.len() + names,
            read: columns.iter().map(|_| ReadColumn::default()).collect(),
            columns,
            fits: Vec::new(),
            ids: Vec::new(),
        })
    }

    /// Reads the rows of a batch.
    pub(crate) fn read(&mut self, batch: RowBatch<'_>) {
        self.fits.clear();
        self.fits.resize(batch.len(), true);
        for (column, into) in self.read.iter_mut().enumerate() {
            let cells = batch.cells(column);
            let cells = cells.map(|cell| (!batch.heads.is_null(cell)).then_some(cell));
            self.table.read(column, cells, into, &mut self.fits);
        }
        if !self.table.has_ids() {
            return;
        }
        self.ids.clear();
        for (index, fits) in self.fits.iter_mut().enumerate() {
            let row = batch.row(index);
            let cell = |column: usize| (!self.read[column].nulls[index]).then(|| row.cell(column));
            let id = fits.then(|| self.table.id(cell)).flatten();
            *fits = id.is_some();
            self.ids.push(id.unwrap_or(0));
        }
    }

    /// Whether a row that was read certainly is valid; otherwise it must take the other way.
    pub(crate) fn fits(&self, index: usize) -> bool {
        self.fits[index]
    }

    /// The ids of the rows that were read, if rows have ids. That of a row which does not fit means nothing.
    pub(crate) fn ids(&self) -> &[u128] {
        &self.ids
    }

    /// The id of a row that fits, with the hash of what the row says, if rows have ids.
    pub(crate) fn entry(
        &self,
        batch: RowBatch<'_>,
        index: usize,
        scratch: &mut RowScratch,
    ) -> Option<IdEntry> {
        let id = self.ids.get(index)?;
        Some(IdEntry::new(*id, batch.row(index).content(scratch)))
    }

    /// Adds these rows, which were read last and fit.
    pub(crate) fn push(
        &self,
        batch: RowBatch<'_>,
        rows: &[usize],
        origin: &Origin,
        file: &str,
        typed: &mut TypedRows,
    ) {
        let all = || rows.iter().copied();
        typed.push_wholes(self.received_at, all().map(|_| origin.received_at.0));
        typed.push_text(self.file, file.as_bytes(), rows.len());
        let lines = all().map(|row| i64::try_from(batch.line(row).0).unwrap_or(i64::MAX));
        typed.push_wholes(self.line, lines);
        for (index, (column, read)) in self.columns.iter().zip(&self.read).enumerate() {
            if !self.table.is_whole(index) {
                let cells = all().map(|row| (read.others[row], batch.row(row).cell(index)));
                typed.push_cells(*column, cells);
            } else if read.has_nulls {
                let values = all().map(|row| {
                    let whole = CellValue::Whole(read.wholes[row]);
                    let value = if read.nulls[row] {
                        CellValue::Null
                    } else {
                        whole
                    };
                    (value, &b""[..])
                });
                typed.push_cells(*column, values);
            } else {
                typed.push_wholes(*column, all().map(|row| read.wholes[row]));
            }
        }
        let raw: usize = all().map(|row| batch.line(row).1).sum();
        typed.end_rows(rows.len(), rows.len() * self.around + raw);
    }
}
