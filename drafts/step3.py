import os,shutil
os.chdir('.')
def sub(p, pairs):
    s=open(p).read()
    for a,b in pairs:
        assert a in s, (p,a)
        s=s.replace(a,b,1)
    open(p,'w').write(s)
shutil.copy('drafts/column_ids.rs','crates/lake/src/column_ids.rs')
shutil.copy('drafts/if_absent.rs','crates/lake/src/if_absent.rs')
sub('crates/lake/src/lib.rs',[("pub mod label;\n","pub mod label;\nmod if_absent;\npub mod column_ids;\n")])
sub('crates/lake/src/keys.rs',[('''/// Key of the object that shows whether the store honours conditions.
''','''/// Key of a version of the field ids of a stream.
pub fn column_ids_key(stream: &str, number: u32) -> String {
    format!("{INTERNAL}/columns/{stream}/{number:06}.json")
}

/// Key of the object that shows whether the store honours conditions.
''')])
sub('crates/base/src/tables.rs',[('''    /// The table of a partition such as `events/dt=2026-11-20`: the part before the first
    /// `name=value` is the stream.
    pub fn of(&self, partition: &str) -> &Arc<Table> {
        let parts = partition.split('/').take_while(|part| !part.contains('='));
        let stream: Vec<&str> = parts.collect();
        match stream.as_slice() {
            ["quarantine", ..] => &self.quarantine,
            _ => self.streams.get(&stream.join("/")).unwrap_or(&self.unknown),
        }
    }
''','''    /// The table of a partition such as `events/dt=2026-11-20`.
    pub fn of(&self, partition: &str) -> &Arc<Table> {
        let stream = stream_of(partition);
        match stream.split('/').next() {
            Some("quarantine") => &self.quarantine,
            _ => self.streams.get(&stream).unwrap_or(&self.unknown),
        }
    }
'''),
('''/// The tables of all streams.
''','''/// The stream of a partition: the part before the first `name=value`.
pub fn stream_of(partition: &str) -> String {
    let parts = partition.split('/').take_while(|part| !part.contains('='));
    parts.collect::<Vec<_>>().join("/")
}

/// The tables of all streams.
''')])
sub('crates/lake/src/encode/encoder.rs',[('''    /// The columns of its rows.
    pub table: &'a Arc<Table>,
''','''    /// The columns of its rows.
    pub table: &'a Arc<Table>,
    /// Field ids of the columns, by name; those without one get none.
    pub ids: &'a BTreeMap<String, i32>,
'''),
('''                let (table, rows) = (spec.table, spec.rows);
                let encoder = parquet::Encoder::new(table, rows, out, files, spec.path)?;
''','''                let (table, rows) = ((spec.table, spec.ids), spec.rows);
                let encoder = parquet::Encoder::new(table, rows, out, files, spec.path)?;
'''),
("use std::io::{self, Write};","use std::collections::BTreeMap;\nuse std::io::{self, Write};")])
sub('crates/lake/src/encode/parquet.rs',[('''    /// An encoder for `rows` rows of a table. Rows that don't fit into memory are kept in files
    /// beside `path` until they are sorted.
    pub fn new(table: &Arc<Table>, rows: u64, out: W, files: F, path: &Path) -> io::Result<Self> {
        let schema = Arc::new(schema_of(table).map_err(failed)?);
''','''    /// An encoder for `rows` rows of a table, whose columns have these field ids. Rows that don't fit into
    /// memory are kept in files beside `path` until they are sorted.
    pub fn new(
        (table, ids): (&Arc<Table>, &BTreeMap<String, i32>),
        rows: u64,
        out: W,
        files: F,
        path: &Path,
    ) -> io::Result<Self> {
        let schema = Arc::new(schema_of(table, ids).map_err(failed)?);
'''),
("fn schema_of(table: &Table) -> Result<Type, ParquetError> {","fn schema_of(table: &Table, ids: &BTreeMap<String, i32>) -> Result<Type, ParquetError> {"),
('''            .with_logical_type(logical);
''','''            .with_logical_type(logical)
            .with_id(ids.get(&column.name).copied());
'''),
("use std::collections::HashMap;","use std::collections::{BTreeMap, HashMap};")])
for p in ['crates/lake/src/encode/reader.rs','crates/lake/src/encode/filter_tests.rs']:
    s=open(p).read()
    i=s.index("let spec = ObjectSpec {"); j=s.index("table",i); k=s.index("\n",j)
    s=s[:k+1]+"            ids: &std::collections::BTreeMap::new(),\n"+s[k+1:]
    open(p,'w').write(s)
sub('src/mutated/stored.rs',[("crate::encode::parquet::Encoder::new(&table, 3,","crate::encode::parquet::Encoder::new((&table, &ids), 3,"),
("        let path = dir.path().join(\"object.part\");","        let ids = std::collections::BTreeMap::new();\n        let path = dir.path().join(\"object.part\");")])
sub('src/ship/commit.rs',[('''            table: self.tables.of(&seal.partition),
''','''            table,
            ids: &ids,
'''),
('''        let spec = ObjectSpec {''','''        let table = self.tables.of(&seal.partition);
        let spec = ObjectSpec {'''),
('''            Layout::Columns => self.encode(seal, format, &path)?,
''','''            Layout::Columns => self.encode(seal, format, &ids, &path)?,
'''),
])
sub('src/ship/commit.rs',[
('''        match self.make(&seal) {
''','''        let ids = self.field_ids(&seal)?;
        match self.make(&seal, &ids) {
'''),
('''    fn make(&self, seal: &Seal) -> Result<Object, RowsError> {''','''    fn make(&self, seal: &Seal, ids: &ColumnIds) -> Result<Object, RowsError> {'''),
("self.encode(seal, format, &ids, &path)?","self.encode(seal, format, ids, &path)?"),
("    fn encode(&self, seal: &Seal, format: Format, path: &Path) -> Result<Made, RowsError> {","    fn encode(\n        &self,\n        seal: &Seal,\n        format: Format,\n        ids: &ColumnIds,\n        path: &Path,\n    ) -> Result<Made, RowsError> {"),
("            ids: &ids,\n","            ids,\n"),
('''    /// Makes the object, and compares''','''    /// The field ids of the columns of a typed object. They are in the lake before the first object that uses
    /// them; what was read once is kept, because it never changes.
    fn field_ids(&self, seal: &Seal) -> Result<Arc<ColumnIds>, LakeError> {
        let format = Format::parse(&seal.format);
        if !format.is_some_and(|format| format.layout().is_typed()) {
            return Ok(Arc::default());
        }
        let stream = stream_of(&seal.partition);
        let columns = &self.tables.of(&seal.partition).columns;
        let names = columns.iter().map(|column| column.name.as_str());
        let mut known = self
            .field_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = known.get(&stream)
            && names.clone().all(|name| ids.contains_key(name))
        {
            return Ok(Arc::clone(ids));
        }
        let ids = column_ids::assign(&self.files, &self.lake, self.node, &stream, names)?;
        let ids = Arc::new(ids);
        known.insert(stream, Arc::clone(&ids));
        Ok(ids)
    }

    /// Makes the object, and compares'''),
('''    tables: Arc<Tables>,
    check: Option<Arc<LakeCheck<F>>>,
}
''','''    tables: Arc<Tables>,
    /// Field ids of columns, by stream, as far as they are known.
    field_ids: Mutex<BTreeMap<String, Arc<ColumnIds>>>,
    check: Option<Arc<LakeCheck<F>>>,
}
'''),
('''            tables,
            check: None,
''','''            tables,
            field_ids: Mutex::default(),
            check: None,
'''),
("use std::sync::Arc;\n","use std::sync::{Arc, Mutex, PoisonError};\n"),
("use std::io::{self, BufWriter, Write};","use std::collections::BTreeMap;\nuse std::io::{self, BufWriter, Write};"),
("use crate::tables::Tables;","use crate::tables::{Tables, stream_of};"),
("use crate::lake::stamp::","use crate::lake::column_ids::{self, ColumnIds};\nuse crate::lake::stamp::"),
])
s=open('crates/lake/src/column_ids.rs').read()
s+=open('drafts/column_ids_tests.rs').read()
open('crates/lake/src/column_ids.rs','w').write(s)
shutil.copy('drafts/field_ids.py','tests/python/field_ids.py')
s=open('tests/readers.rs').read()
a='#[test]\nfn the_recipes_for_spark'
s=s.replace(a,open('drafts/readers_ids.rs').read()+a,1)
s=s.replace("use std::collections::BTreeMap;\n","use std::collections::{BTreeMap, BTreeSet};\n",1)
s=s.replace("use std::process::Command;\n","use std::process::Command;\nuse std::sync::Arc;\n",1)
s=s.replace("use serde_json::{Value, json};\n","use lakehook::encode::parquet::Encoder;\nuse lakehook::files::Disk;\nuse lakehook::record::Lsn;\nuse lakehook::tables::Table;\nuse serde_json::{Value, json};\n",1)
open('tests/readers.rs','w').write(s)
shutil.copy('drafts/adr-field-ids.md','docs/adr/0018-field-ids.md')
sub('ARCHITECTURE.md',[('''<lake>/_lakehook/lost/…''','''<lake>/_lakehook/columns/events/000001.json      Parquet only: field ids of all columns so far, by version
<lake>/_lakehook/lost/…''')])
sub('CHANGELOG.md',[("from the bucket alone","from the bucket alone")] if False else [])
