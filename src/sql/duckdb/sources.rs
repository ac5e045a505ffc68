//! The rows of a stream: one `SELECT` for each format, and one more for each earlier layout of its partitions.

use serde_json::Value;

use super::values::{pointer, type_of, value_of};
use crate::columns::ColumnType;
use crate::sql::catalogue::{Catalogue, Relation, Stream};
use crate::sql::layout::{Key, KeyState, Layout, fits};
use crate::sql::text::{identifier, lines, literal};
use crate::tables::{Column, Source};

/// The column with the name of each row's object.
pub(super) const OBJECT: &str = "\"lakehook:object\"";

/// The name of an object, as the table functions return it. DuckDB compares names before it opens objects,
/// but only if the column is referred to by this name.
const FILENAME: &str = "o.filename";

/// The name under which a view reads a stream's own column `filename`.
const OTHER_FILENAME: &str = "lakehook:filename";

/// How objects hold rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// As lines of JSON.
    Lines,
    /// As columns of Parquet.
    Columns,
}

/// One of the `SELECT`s.
struct Part<'p> {
    lake: &'p Catalogue,
    relation: &'p Relation,
    rows: Rows,
    /// The pattern of the objects' names.
    files: String,
    /// Further conditions on these names.
    conditions: Vec<String>,
    /// How the partition keys are found.
    layout: Layout,
    /// Whether the name of the object is selected as well.
    with_object: bool,
}

/// The statement that selects all rows of a stream.
pub(super) fn rows(lake: &Catalogue, relation: &Relation, with_object: bool) -> String {
    let there = &relation.there;
    let mut parts = Vec::new();
    for (rows, layouts) in [(Rows::Lines, &there.lines), (Rows::Columns, &there.columns)] {
        let is_written = lake.writes_columns == (rows == Rows::Columns);
        if layouts.is_empty() && !is_written {
            continue;
        }
        let Some((files, conditions)) = files(lake, relation, rows) else {
            continue;
        };
        let part = |more: Vec<String>, layout: Layout| {
            let conditions = [conditions.clone(), more].concat();
            Part {
                lake,
                relation,
                rows,
                files: files.clone(),
                conditions,
                layout,
                with_object,
            }
            .select()
        };
        // Only if the row has the time itself can a partition key be computed from anything but the path.
        let others: Vec<_> = layouts
            .iter()
            .filter(|layout| !fits(layout) && relation.partitioned_by.is_some())
            .collect();
        let not_others = others
            .iter()
            .map(|layout| format!("NOT ({})", is_of(lake, relation, layout)));
        parts.push(part(
            not_others.collect(),
            vec![KeyState::Fits; relation.partitions.len()],
        ));
        for layout in others {
            parts.push(part(vec![is_of(lake, relation, layout)], layout.clone()));
        }
    }
    if parts.is_empty() {
        parts.push(nothing(relation, with_object));
    }
    parts.join("\nUNION ALL\n")
}

/// Selects all columns and no rows.
fn nothing(relation: &Relation, with_object: bool) -> String {
    let null = |name: &str, kind: &str| format!("NULL::{kind} AS {}", identifier(name));
    let columns = relation
        .columns()
        .map(|column| null(&column.name, &type_of(column.kind)));
    let keys = relation
        .partitions
        .iter()
        .map(|key| null(&key.name, type_of_key(key)));
    let object = with_object.then(|| format!("NULL::VARCHAR AS {OBJECT}"));
    format!(
        "SELECT {}\nWHERE false",
        lines(columns.chain(keys).chain(object), 7)
    )
}

/// The pattern of the objects and the conditions on their names. DuckDB refuses a pattern that matches no
/// object, so the pattern is wider where there is no object yet. `None` if the lake is empty.
fn files(lake: &Catalogue, relation: &Relation, rows: Rows) -> Option<(String, Vec<String>)> {
    let (has_some, pattern, condition) = match rows {
        Rows::Lines => {
            let condition = format!("regexp_matches({FILENAME}, '[.]ndjson([.](gz|zst))?$')");
            (!relation.there.lines.is_empty(), "*.ndjson*", condition)
        }
        Rows::Columns => {
            let condition = format!("suffix({FILENAME}, '.parquet')");
            (!relation.there.columns.is_empty(), "*.parquet", condition)
        }
    };
    let prefix = lake.at(&format!("{}/", relation.name));
    if has_some {
        Some((format!("{prefix}**/{pattern}"), Vec::new()))
    } else if !relation.there.is_empty() {
        Some((format!("{prefix}**"), vec![condition]))
    } else if !lake.is_bare {
        let of_stream = format!("prefix({FILENAME}, {})", literal(&prefix));
        Some((lake.at("**"), vec![of_stream, condition]))
    } else {
        None
    }
}

/// The path of an object within the lake.
fn path(lake: &Catalogue) -> String {
    format!("substr({FILENAME}, {})", lake.at("").chars().count())
}

/// The condition that an object has this layout.
fn is_of(lake: &Catalogue, relation: &Relation, layout: &Layout) -> String {
    let path = path(lake);
    let keys = relation.partitions.iter().zip(layout);
    let conditions = keys.map(|(key, state)| {
        let has = format!("contains({path}, {})", literal(&format!("/{}=", key.name)));
        let value = literal(&format!("/{}={}/", key.name, key.regex()));
        match state {
            KeyState::Fits => format!("regexp_matches({path}, {value})"),
            KeyState::Differs => format!("{has} AND NOT regexp_matches({path}, {value})"),
            KeyState::Missing => format!("NOT {has}"),
        }
    });
    conditions.collect::<Vec<_>>().join(" AND ")
}

/// The type of a partition key.
fn type_of_key(key: &Key) -> &'static str {
    match key.pattern.as_str() {
        "%Y-%m-%d" => "DATE",
        "%Y" | "%m" | "%d" | "%H" | "%j" => "BIGINT",
        _ => "VARCHAR",
    }
}

impl Part<'_> {
    fn select(&self) -> String {
        let columns = self.relation.columns().map(|column| {
            let (value, name) = (self.value(column), identifier(&column.name));
            if value == name {
                name
            } else {
                format!("{value} AS {name}")
            }
        });
        let keys = self
            .relation
            .partitions
            .iter()
            .zip(&self.layout)
            .enumerate();
        let keys = keys.map(|(at, (key, state))| {
            format!("{} AS {}", self.key(at, key, *state), identifier(&key.name))
        });
        let object = self.with_object.then(|| format!("{FILENAME} AS {OBJECT}"));
        let selected = lines(columns.chain(keys).chain(object), 7);
        let source = self.source();
        let conditions = match self.conditions.join("\n  AND ") {
            conditions if conditions.is_empty() => conditions,
            conditions => format!("\nWHERE {conditions}"),
        };
        format!("SELECT {selected}\nFROM {source} AS o{conditions}")
    }

    /// Whether lines are written by us, so that their members have known types. Other lines are the records
    /// of an API.
    fn has_own_lines(&self) -> bool {
        match self.relation.stream {
            Stream::Quarantine => true,
            Stream::Rows => self.relation.name == "events",
            Stream::Runs | Stream::Files => false,
        }
    }

    /// The table function that reads the objects.
    fn source(&self) -> String {
        let files = literal(&self.files);
        if self.rows == Rows::Columns {
            let columns = self.relation.columns().map(|column| {
                // JSON columns are text in Parquet.
                let kind = match column.kind {
                    ColumnType::Json => "VARCHAR".into(),
                    kind => type_of(kind),
                };
                let name = literal(&column.name);
                let called = literal(name_in_columns(column));
                format!("{name}: {{name: {called}, type: '{kind}', default_value: NULL}}")
            });
            return format!(
                "read_parquet({files}, filename = true, hive_partitioning = false, schema = MAP {{\n        {}}})",
                lines(columns, 8)
            );
        }
        if !self.has_own_lines() {
            return format!(
                "read_ndjson_objects({files}, filename = true, hive_partitioning = false)"
            );
        }
        let members = self
            .relation
            .columns()
            .filter(|column| !matches!(column.source, Source::Property(_)));
        let members =
            members.map(|column| format!("{}: '{}'", literal(&column.name), type_of(column.kind)));
        format!(
            "read_json({files}, filename = true, hive_partitioning = false, format = 'newline_delimited', records = true, columns = {{\n        {}}})",
            lines(members, 8)
        )
    }

    /// The value of a column.
    fn value(&self, column: &Column) -> String {
        let name = identifier(&column.name);
        if self.rows == Rows::Columns {
            let name = identifier(name_in_columns(column));
            return match column.kind {
                ColumnType::Json => format!("{name}::JSON"),
                _ => name,
            };
        }
        match &column.source {
            Source::Property(key) => value_of("properties", key, column.kind),
            _ if self.has_own_lines() => name,
            Source::Member(key) if column.kind == ColumnType::Json => {
                let at = pointer(key);
                format!(
                    "CASE WHEN json_type(json, {at}) <> 'NULL' THEN lakehook_exact(json, {at}) END"
                )
            }
            Source::Member(key) => value_of("json", key, column.kind),
            Source::Rest => rest(self.relation),
        }
    }

    /// The position and the length of a key's value in the names of objects, if they are the same for all
    /// objects. DuckDB evaluates this for each name, and a substring costs a fraction of a regular
    /// expression.
    fn position(&self, at: usize) -> Option<(usize, usize)> {
        let relation = self.relation;
        let is_nested = relation.stream == Stream::Quarantine;
        if is_nested || relation.there.is_out_of_order || !fits(&self.layout) {
            return None;
        }
        let prefix = self.lake.at(&format!("{}/", relation.name));
        let mut start = prefix.chars().count() + 1;
        for (number, key) in relation.partitions.iter().enumerate() {
            start += key.name.len() + "=".len();
            let width = key.width()?;
            if number == at {
                return Some((start, width));
            }
            start += width + "/".len();
        }
        None
    }

    /// The value of a partition key: from the path, or otherwise computed from the time of the row.
    fn key(&self, at: usize, key: &Key, state: KeyState) -> String {
        let text = match (&self.relation.partitioned_by, state) {
            (Some(time), KeyState::Differs | KeyState::Missing) => {
                let time = identifier(time);
                format!(
                    "strftime(make_timestamp(epoch_us({time})), {})",
                    literal(&key.pattern)
                )
            }
            _ if let Some((start, width)) = self.position(at) => {
                format!("substr({FILENAME}, {start}, {width})")
            }
            _ => {
                let value = literal(&format!("/{}=([^/]+)/", key.name));
                format!(
                    "nullif(regexp_extract({}, {value}, 1), '')",
                    path(self.lake)
                )
            }
        };
        match type_of_key(key) {
            "VARCHAR" => text,
            kind => format!("TRY_CAST({text} AS {kind})"),
        }
    }
}

/// The name under which a column is read from Parquet.
fn name_in_columns(column: &Column) -> &str {
    if column.name.eq_ignore_ascii_case("filename") {
        OTHER_FILENAME
    } else {
        &column.name
    }
}

/// Those members of an API's record that have no column, or a value that does not fit it.
fn rest(relation: &Relation) -> String {
    let known = relation
        .columns()
        .filter_map(|column| match &column.source {
            Source::Member(name) => Some((name, column.kind)),
            Source::Property(_) | Source::Rest => None,
        });
    // A merge patch removes members whose patch is null. So the members that fit are removed, and the others
    // remain, as do those of `extra`.
    let gone = known.map(|(name, kind)| {
        let at = pointer(name);
        let key = literal(&format!("{}:null", Value::from(name.as_str())));
        let fits = format!("{} IS NOT NULL", value_of("json", name, kind));
        format!("CASE WHEN {fits} OR json_type(json, {at}) = 'NULL' THEN {key} END")
    });
    let gone = gone.chain(["'\"extra\":null'".to_owned()]);
    format!(
        "lakehook_rest(json, ('{{' || array_to_string([\n           {}], ',') || '}}')::JSON)",
        lines(gone, 11)
    )
}
