//! Values in JSON, converted to typed columns.

use std::borrow::Cow;

use crate::columns::ColumnType;
use crate::sql::text::literal;

/// The type of a column.
pub(super) fn type_of(kind: ColumnType) -> Cow<'static, str> {
    let name = match kind {
        ColumnType::Decimal(size) => {
            return format!("DECIMAL({}, {})", size.precision(), size.scale()).into();
        }
        ColumnType::Date => "DATE",
        ColumnType::Text => "VARCHAR",
        ColumnType::Time => "TIMESTAMPTZ",
        ColumnType::Integer => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Json => "JSON",
    };
    name.into()
}

/// A key as a JSON Pointer (RFC 6901), in an SQL literal.
pub(super) fn pointer(key: &str) -> String {
    literal(&format!("/{}", key.replace('~', "~0").replace('/', "~1")))
}

/// The value of a key of a JSON column, or null if the type of the column cannot hold it. Parquet objects
/// follow the same rule.
pub(super) fn value_of(json: &str, key: &str, kind: ColumnType) -> String {
    const TIME: &str =
        "'\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)'";
    let at = pointer(key);
    let is = |types: &str| format!("json_type({json}, {at}) IN ({types})");
    let text = format!("{json}->>{at}");
    match kind {
        ColumnType::Json => format!("CASE WHEN NOT {} THEN {json}->{at} END", is("'NULL'")),
        ColumnType::Text => format!("CASE WHEN {} THEN {text} END", is("'VARCHAR'")),
        ColumnType::Boolean => format!(
            "CASE WHEN {} THEN TRY_CAST({text} AS BOOLEAN) END",
            is("'BOOLEAN'")
        ),
        ColumnType::Time => format!(
            "CASE WHEN {} AND regexp_full_match({text}, {TIME}) THEN TRY_CAST({text} AS TIMESTAMPTZ) END",
            is("'VARCHAR'")
        ),
        ColumnType::Date => format!(
            "CASE WHEN {} AND regexp_full_match({text}, '\\d{{4}}-\\d\\d-\\d\\d') THEN TRY_CAST({text} AS DATE) END",
            is("'VARCHAR'")
        ),
        // A cast would round.
        ColumnType::Decimal(size) => {
            let (whole, part) = (size.precision() - size.scale(), size.scale());
            format!(
                "CASE WHEN {} AND regexp_full_match({text}, '-?0*\\d{{0,{whole}}}([.]\\d{{0,{part}}}0*)?') THEN \
                 TRY_CAST({text} AS {}) END",
                is("'VARCHAR', 'UBIGINT', 'BIGINT', 'DOUBLE'"),
                type_of(kind)
            )
        }
        // A whole number is null if a double cannot hold all of its digits.
        ColumnType::Double => format!(
            "CASE WHEN {} OR ({} AND TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT) = TRY_CAST({text} AS HUGEINT)) THEN \
             TRY_CAST({text} AS DOUBLE) END",
            is("'DOUBLE'"),
            is("'UBIGINT', 'BIGINT'")
        ),
        ColumnType::Integer => format!(
            "CASE WHEN {} THEN TRY_CAST({text} AS BIGINT) WHEN {} AND trunc(TRY_CAST({text} AS DOUBLE)) = \
             TRY_CAST({text} AS DOUBLE) AND abs(TRY_CAST({text} AS DOUBLE)) < 9007199254740992 THEN \
             TRY_CAST(TRY_CAST({text} AS DOUBLE) AS BIGINT) END",
            is("'UBIGINT', 'BIGINT'"),
            is("'DOUBLE'")
        ),
    }
}
