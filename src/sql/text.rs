//! Names, literals and lists in SQL.

/// Text as an SQL literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as an SQL identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Joins items as indented lines.
pub(super) fn lines(items: impl Iterator<Item = String>, indent: usize) -> String {
    let separator = format!(",\n{}", " ".repeat(indent));
    items.collect::<Vec<_>>().join(&separator)
}
