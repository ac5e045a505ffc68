//! Tables: the streams of the lake as engines see them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::columns::{ColumnType, Dates, Kinds, Property, declared, of_entities};

mod field_ids;
mod live;
mod shape;

pub use field_ids::FieldIds;
pub use live::{Keep, LiveShape};
pub use shape::{FoundColumn, Noted, RESERVED, Settled, Shape};

/// Prefix of the names of columns for event properties.
pub const PROPERTY_PREFIX: &str = "p_";
const RECEIVED_AT: &str = "When it was received";
const LSN: &str = "Its number in the log of its node: the order in which it was logged";

/// The columns of the quarantine: name, type, and what they mean.
const QUARANTINE: [(&str, ColumnType, &str); 18] = [
    ("received_at", ColumnType::Time, RECEIVED_AT),
    ("lsn", ColumnType::Integer, LSN),
    (
        "reason",
        ColumnType::Text,
        "invalid_event, id_conflict, refused_request or invalid_record",
    ),
    (
        "stream",
        ColumnType::Text,
        "The stream that it was meant for",
    ),
    (
        "endpoint",
        ColumnType::Text,
        "The path that took it, or the poll",
    ),
    (
        "request_id",
        ColumnType::Text,
        "The request's id, or the run's name",
    ),
    ("client", ColumnType::Text, "The sender's address"),
    (
        "errors",
        ColumnType::Json,
        "The first 20 errors: pointer, code, detail",
    ),
    (
        "errors_total",
        ColumnType::Integer,
        "How many errors there were in all",
    ),
    ("raw", ColumnType::Text, "What was refused, perhaps cut"),
    (
        "raw_encoding",
        ColumnType::Text,
        "utf-8, or base64 for bytes that are no text",
    ),
    (
        "raw_bytes",
        ColumnType::Integer,
        "The whole length of what was refused",
    ),
    (
        "raw_xxh3",
        ColumnType::Text,
        "XXH3-128 of what was refused, whole",
    ),
    (
        "hook",
        ColumnType::Text,
        "The hook that took it, if one did",
    ),
    (
        "headers",
        ColumnType::Json,
        "The headers of its request that a replay needs",
    ),
    (
        "file",
        ColumnType::Text,
        "The file that it was read from, if it was a file",
    ),
    (
        "line",
        ColumnType::Integer,
        "The line on which it begins there",
    ),
    (
        "header",
        ColumnType::Text,
        "The first line of that file, if it names the columns",
    ),
];

/// Where in a row the value of a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A member of the row.
    Member(String),
    /// A member of its `properties`.
    Property(String),
    /// All members that have no column of their own, and those of `extra`.
    Rest,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name that queries use.
    pub name: String,
    /// The type of its values.
    pub kind: ColumnType,
    /// Where in a row its values are.
    pub source: Source,
    /// A description for readers; may be empty.
    pub about: String,
    /// The number by which tables over typed objects know the column, once the lake has assigned one.
    pub field_id: Option<i32>,
}

/// A stream as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// Index of the column by which objects are sorted.
    pub time: usize,
    /// Indices of the columns by which single rows are looked up.
    pub ids: Vec<usize>,
}

/// Why schemas cannot be turned into a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A schema is not JSON of the expected form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Two properties would share a column, because engines ignore case.
    #[error(
        "the properties {0:?} and {1:?} differ only in case, and would be one column; give them one name"
    )]
    Case(String, String),
}

impl Column {
    fn own(name: &str, kind: ColumnType, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            source: Source::Member(name.to_owned()),
            about: about.to_owned(),
            field_id: None,
        }
    }

    fn rest() -> Self {
        Self {
            name: "extra".to_owned(),
            kind: ColumnType::Json,
            source: Source::Rest,
            about: "What was sent beyond the other columns".to_owned(),
            field_id: None,
        }
    }
}

impl Table {
    /// The table of events: the envelope, and a column for each property that the schemas of the types declare.
    pub fn events<'s>(schemas: impl Iterator<Item = &'s str>) -> Result<Self, TableError> {
        // The key is the name in lower case, because engines ignore case.
        let mut properties: BTreeMap<String, Property> = BTreeMap::new();
        for schema in schemas {
            for property in declared(schema, Dates::AsText)? {
                let Some(known) = properties.get_mut(&property.name.to_lowercase()) else {
                    properties.insert(property.name.to_lowercase(), property);
                    continue;
                };
                if known.name != property.name {
                    let (one, other) = (known.name.clone(), property.name);
                    return Err(TableError::Case(one, other));
                }
                known.kind = known.kind.or(property.kind);
                if known.about.is_empty() {
                    known.about = property.about;
                }
            }
        }
        let mut columns = vec![
            Column::own(
                "event_id",
                ColumnType::Text,
                "A UUID in lower case; no two rows have the same",
            ),
            Column::own("user_id", ColumnType::Text, "Who did it; null for nobody"),
            Column::own(
                "user",
                ColumnType::Json,
                "The whole user, where the event held one",
            ),
            Column::own("event_type", ColumnType::Text, "What happened"),
            Column::own("source", ColumnType::Text, "Where it happened"),
            Column::own(
                "timestamp",
                ColumnType::Time,
                "When it happened, as the sender says",
            ),
            Column::own("received_at", ColumnType::Time, RECEIVED_AT),
            Column::own("lsn", ColumnType::Integer, LSN),
            Column::own(
                "properties",
                ColumnType::Json,
                "The event's properties, as they were sent",
            ),
        ];
        columns.extend(properties.into_values().map(|property| Column {
            name: format!("{PROPERTY_PREFIX}{}", property.name),
            kind: property.kind,
            source: Source::Property(property.name),
            about: property.about,
            field_id: None,
        }));
        columns.push(Column::rest());
        Ok(Self {
            columns,
            time: 5,
            ids: vec![0, 1],
        })
    }

    /// The table of a poll, with the columns that its schema declares and those whose type is given. `id` are the
    /// keys that identify a record together, as far as they are columns.
    pub fn entities(
        schema: Option<&str>,
        id: &[String],
        given: &Kinds,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::of_records(&of_entities(schema, given)?, id, &[]))
    }

    /// The table of files: each row has the name of its file and the line on which its record begins there. Rows
    /// that did not pass the log have no LSN.
    pub fn files(
        schema: Option<&str>,
        id: &[String],
        given: &Kinds,
    ) -> Result<Self, serde_json::Error> {
        let own = of_entities(schema, given)?;
        Ok(Self::of_records(&own, id, &place_columns()))
    }

    /// The table of records with these columns, and with some more that every row has.
    fn of_records(own: &[Property], id: &[String], more: &[Column]) -> Self {
        let mut columns = vec![
            Column::own("received_at", ColumnType::Time, RECEIVED_AT),
            Column::own("lsn", ColumnType::Integer, LSN),
        ];
        columns.extend_from_slice(more);
        let own = own.iter();
        columns.extend(own.map(|own| Column::own(&own.name, own.kind, &own.about)));
        columns.push(Column::rest());
        let ids = id
            .iter()
            .filter_map(|id| columns.iter().position(|column| column.name == *id));
        let ids = ids.collect();
        Self {
            columns,
            time: 0,
            ids,
        }
    }

    /// The table of the quarantine.
    pub fn quarantine() -> Self {
        let columns = QUARANTINE;
        let columns = columns.map(|(name, kind, about)| Column::own(name, kind, about));
        Self {
            columns: columns.into(),
            time: 0,
            ids: Vec::new(),
        }
    }

    /// The same table with the field ids that a stream's columns have.
    #[must_use]
    pub fn with_field_ids(&self, ids: &FieldIds) -> Self {
        let mut table = self.clone();
        for column in &mut table.columns {
            column.field_id = ids.of(&column.name);
        }
        table
    }

    /// The types of the columns by their names.
    pub fn kinds(&self) -> BTreeMap<String, ColumnType> {
        let columns = self.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.kind))
            .collect()
    }
}

/// The table of a stream, which may grow.
#[derive(Clone, Debug)]
pub enum StreamTable {
    /// Its columns are fixed by schemas.
    Fixed(Arc<Table>),
    /// Its columns are those that were found in its records.
    Growing(GrowingTable),
}

/// A table whose columns are found in records.
#[derive(Clone, Debug)]
pub struct GrowingTable {
    /// The columns that were found.
    pub live: Arc<LiveShape>,
    /// The keys that identify a record together.
    id: Vec<String>,
    /// Columns whose type is given.
    given: Kinds,
    /// Columns that every row has besides those of all streams.
    more: Vec<Column>,
}

impl From<Table> for StreamTable {
    fn from(table: Table) -> Self {
        Self::Fixed(Arc::new(table))
    }
}

impl StreamTable {
    /// The table as it is now.
    pub fn now(&self) -> Arc<Table> {
        match self {
            Self::Fixed(table) => Arc::clone(table),
            Self::Growing(growing) => Arc::new(growing.with(&growing.live.shape())),
        }
    }
}

impl GrowingTable {
    /// A table with the columns of that shape, and those whose type is given. `id` are the keys that identify a
    /// record together, as far as they are columns.
    pub fn new(live: Arc<LiveShape>, id: &[String], given: Kinds) -> Self {
        for name in given.keys() {
            live.reserve(name);
        }
        Self {
            live,
            id: id.to_vec(),
            given,
            more: Vec::new(),
        }
    }

    /// The same, for rows of files, which have the place that they were read from.
    #[must_use]
    pub fn of_files(self) -> Self {
        let more = place_columns();
        for column in &more {
            self.live.reserve(&column.name);
        }
        Self {
            more: more.into(),
            ..self
        }
    }

    /// The table with a shape.
    pub fn with(&self, shape: &Shape) -> Table {
        let property = |name: &str, kind: ColumnType| Property {
            name: name.to_owned(),
            kind,
            about: String::new(),
        };
        let given = self.given.iter().map(|(name, kind)| property(name, *kind));
        let found = shape.columns().iter();
        let found = found.filter(|own| !self.given.contains_key(&own.name));
        let found = found.map(|own| property(&own.name, own.kind));
        let own: Vec<Property> = given.chain(found).collect();
        Table::of_records(&own, &self.id, &self.more)
    }
}

/// Where the record of a row was read.
fn place_columns() -> [Column; 2] {
    [
        Column::own("file", ColumnType::Text, "The file that it was read from"),
        Column::own("line", ColumnType::Integer, "The line on which it begins"),
    ]
}

/// The tables of all streams.
#[derive(Clone, Debug)]
pub struct Tables {
    streams: BTreeMap<String, StreamTable>,
    quarantine: StreamTable,
    /// For streams that are not configured.
    unknown: StreamTable,
}

impl Tables {
    /// The tables of these streams, and of the quarantine.
    pub fn new<T: Into<StreamTable>>(streams: impl Iterator<Item = (String, T)>) -> Self {
        Self {
            streams: streams.map(|(name, table)| (name, table.into())).collect(),
            quarantine: Table::quarantine().into(),
            unknown: Table::of_records(&[], &[], &[]).into(),
        }
    }

    /// The table of a partition such as `events/dt=2026-11-20`: the part before the first
    /// `name=value` is the stream.
    pub fn of(&self, partition: &str) -> &StreamTable {
        let parts = partition.split('/').take_while(|part| !part.contains('='));
        let stream: Vec<&str> = parts.collect();
        match stream.as_slice() {
            ["quarantine", ..] => &self.quarantine,
            _ => self.streams.get(&stream.join("/")).unwrap_or(&self.unknown),
        }
    }

    /// The streams with their tables.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &StreamTable)> {
        let streams = self.streams.iter();
        streams.map(|(name, table)| (name.as_str(), table))
    }

    /// The types that schemas and rules fix, by stream and column.
    pub fn fixed_kinds(&self) -> impl Iterator<Item = (&str, BTreeMap<String, ColumnType>)> {
        self.streams().map(|(name, table)| match table {
            StreamTable::Fixed(table) => (name, table.kinds()),
            StreamTable::Growing(growing) => (name, growing.with(&Shape::default()).kinds()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_property_of_two_types_has_one_column() {
        let purchase = r#"{"properties":{"amount":{"type":"number"},"note":{"type":"string"}}}"#;
        let refund = r#"{"properties":{"amount":{"type":"integer"},"note":{"type":"boolean"}}}"#;
        let table = Table::events([purchase, refund].into_iter()).unwrap();
        let kinds = table.kinds();
        assert_eq!(kinds["p_amount"], ColumnType::Double);
        assert_eq!(kinds["p_note"], ColumnType::Json);
        assert_eq!(table.columns[table.time].name, "timestamp");
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names.last(), Some(&"extra"));
    }

    #[test]
    fn entities_have_the_columns_of_their_schema_in_its_order() {
        let schema = r#"{"properties":{"user_id":{"type":"string"},"age":{"type":"integer"}}}"#;
        let table = Table::entities(Some(schema), &["user_id".to_owned()], &Kinds::new()).unwrap();
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["received_at", "lsn", "user_id", "age", "extra"]);
        assert_eq!(table.ids, [2]);
    }

    #[test]
    fn a_growing_table_has_the_columns_that_are_given_and_those_that_are_found() {
        let column = |name: &str, kind| FoundColumn {
            name: name.to_owned(),
            kind,
            settled: Settled::No,
        };
        let found = [
            column("id", ColumnType::Integer),
            column("Day", ColumnType::Text),
        ];
        let live = LiveShape::new(Shape::new(found), Box::new(|_| Ok(())));
        let given = Kinds::from([("Day".to_owned(), ColumnType::Date)]);
        let growing = GrowingTable::new(Arc::new(live), &["id".to_owned()], given);
        let streams = [("orders".to_owned(), StreamTable::Growing(growing))];
        let tables = Tables::new(streams.into_iter());
        let table = tables.of("orders/dt=2026-11-20").now();
        let columns = table.columns.iter();
        let columns: Vec<_> = columns
            .map(|own| format!("{} {}", own.name, own.kind))
            .collect();
        let expected = [
            "received_at time",
            "lsn integer",
            "Day date",
            "id integer",
            "extra json",
        ];
        assert_eq!(columns, expected);
        assert_eq!(table.ids, [3]);
        let fixed: Vec<_> = tables.fixed_kinds().collect();
        let names: Vec<_> = fixed[0].1.keys().map(String::as_str).collect();
        assert_eq!(names, ["Day", "extra", "lsn", "received_at"]);
    }
}
