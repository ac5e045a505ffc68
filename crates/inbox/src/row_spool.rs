//! Rows that wait in a local file until the columns of their object are known.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use lakehook_base::files::{Appender, Disk, Files as _, Reader, remove_if_there};

const BUFFER: usize = 256 << 10;

/// Rows in a file, which goes with this.
pub(crate) struct RowSpool {
    file: Arc<File>,
    out: BufWriter<Appender<File>>,
    path: PathBuf,
    rows: u64,
}

impl RowSpool {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        remove_if_there(&Disk, &path)?;
        let file = Arc::new(Disk.create_new(&path)?);
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER, Appender::new(Arc::clone(&file))),
            file,
            path,
            rows: 0,
        })
    }

    /// Adds a row; `lsn_at` is where an `lsn` would be.
    pub(crate) fn add(&mut self, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        for number in [lsn_at, row.len()] {
            let number = u32::try_from(number).map_err(io::Error::other)?;
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.rows += 1;
        self.out.write_all(row)
    }

    /// Passes all rows to `take`, in order.
    pub(crate) fn each(
        &mut self,
        take: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.out.flush()?;
        let reader = Reader::new(Arc::clone(&self.file))?;
        let mut input = BufReader::with_capacity(BUFFER, reader);
        let mut row = Vec::new();
        for _ in 0..self.rows {
            let (mut lsn_at, mut length) = ([0; 4], [0; 4]);
            input.read_exact(&mut lsn_at)?;
            input.read_exact(&mut length)?;
            let lsn_at = u32::from_le_bytes(lsn_at) as usize;
            row.resize(u32::from_le_bytes(length) as usize, 0);
            input.read_exact(&mut row)?;
            take(lsn_at, &row)?;
        }
        Ok(())
    }
}

impl Drop for RowSpool {
    fn drop(&mut self) {
        let _left_for_the_next_start = remove_if_there(&Disk, &self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn rows_come_back_in_order_and_the_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        let mut spool = RowSpool::create(path.clone()).unwrap();
        let long = vec![b'x'; 1 << 20];
        for row in [&b"one"[..], b"", &long] {
            spool.add(row.len() / 2, row).unwrap();
        }
        let mut all = Vec::new();
        let mut take = |lsn_at: usize, row: &[u8]| {
            all.push((lsn_at, row.len()));
            Ok(())
        };
        spool.each(&mut take).unwrap();
        assert_eq!(all, [(1, 3), (0, 0), (1 << 19, 1 << 20)]);
        drop(spool);
        assert!(!path.exists());
    }
}
