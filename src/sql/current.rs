//! The view of the latest row of each record, for appending polls whose records have ids. Pure.

use super::catalogue::{Deleted, Engine, Relation};
use super::text::{identifier, lines, literal};

/// Suffix of the view's name.
const SUFFIX: &str = "_current";
/// The column that numbers the rows of a record, the latest first.
const NUMBER: &str = "lakehook_latest";

/// The statement that makes the view, if the relation has one; `schema` stands before names.
pub(super) fn view(relation: &Relation, engine: Engine, schema: &str) -> String {
    let Some(current) = &relation.current else {
        return String::new();
    };
    let own = relation.columns().map(|column| identifier(&column.name));
    let keys = relation.partitions.iter().map(|key| identifier(&key.name));
    let ids: Vec<String> = current.ids.iter().map(|id| identifier(id)).collect();
    let deleted = current.deleted.as_ref();
    let deleted = deleted.map_or_else(String::new, |deleted| {
        format!("\n  AND NOT {}", is_deleted(relation, deleted, engine))
    });
    format!(
        "\n-- The latest row of each record.\nCREATE OR REPLACE VIEW {schema}{view} AS\nSELECT {columns}\nFROM (\n    \
         SELECT *, row_number() OVER (PARTITION BY {ids} ORDER BY received_at DESC, lsn DESC) AS {NUMBER}\n    \
         FROM {schema}{table}\n) AS numbered\nWHERE {NUMBER} = 1{deleted};\n",
        view = identifier(&format!("{}{SUFFIX}", relation.name)),
        columns = lines(own.chain(keys), 7),
        ids = ids.join(", "),
        table = identifier(&relation.name),
    )
}

/// Whether a row is that of a deleted record; never null.
fn is_deleted(relation: &Relation, deleted: &Deleted, engine: Engine) -> String {
    let is_column = relation
        .columns()
        .any(|column| column.name == deleted.field);
    let text = if is_column {
        format!("CAST({} AS varchar)", identifier(&deleted.field))
    } else if engine == Engine::Duckdb {
        let path = literal(&format!("$.\"{}\"", deleted.field));
        format!("json_extract_string(extra, {path})")
    } else {
        let path = literal(&format!("$[\"{}\"]", deleted.field));
        format!(
            "coalesce(json_extract_scalar(extra, {path}), nullif(json_format(json_extract(extra, {path})), 'null'))"
        )
    };
    match &deleted.value {
        Some(value) => format!("coalesce({text} = {}, false)", literal(value)),
        None => format!("({text} IS NOT NULL)"),
    }
}
