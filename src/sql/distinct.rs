//! A DuckDB view of events without the copies that several nodes may have stored of one.

use super::text::literal;

/// The view `events_distinct`: of each event the row that was received first. An event is its id within a
/// scope: each hook is one, by its name as `source`, and the webhook is one.
pub fn view<'a>(hooks: impl Iterator<Item = &'a str>) -> String {
    let hooks: Vec<String> = hooks.map(literal).collect();
    let scope = if hooks.is_empty() {
        String::new()
    } else {
        format!(
            "CASE WHEN source IN ({}) THEN source END, ",
            hooks.join(", ")
        )
    };
    format!(
        "-- Each event once, also where nodes of their own have stored a retry.\n\
         CREATE OR REPLACE VIEW events_distinct AS\n\
         SELECT *\nFROM events\nQUALIFY row_number() OVER (\n    PARTITION BY {scope}event_id ORDER BY \
         received_at, lsn\n) = 1;"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_scopes() {
        insta::assert_snapshot!(view(["git'hub", "stripe"].into_iter()), @r"
        -- Each event once, also where nodes of their own have stored a retry.
        CREATE OR REPLACE VIEW events_distinct AS
        SELECT *
        FROM events
        QUALIFY row_number() OVER (
            PARTITION BY CASE WHEN source IN ('git''hub', 'stripe') THEN source END, event_id ORDER BY received_at, lsn
        ) = 1;
        ");
        assert!(view(std::iter::empty()).contains("PARTITION BY event_id ORDER"));
    }
}
