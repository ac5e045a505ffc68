//! Macros by which views take members out of a line without changing a value.
//!
//! As soon as DuckDB takes JSON apart, it writes numbers with a fraction or an exponent in a form of its own
//! (`1e5` becomes `100000.0`, and digits beyond those of a double are lost), and a merge patch leaves out nulls.
//! Where that would make a difference, numbers and nulls are put into marked strings before, and taken out of
//! them afterwards. It costs ten times as much, so it is done only there.

/// The macros. They are part of the statements of a lake that has lines of records.
pub(super) const MACROS: &str = r#"
-- Values as they were sent: DuckDB would round numbers of more digits than a double, and drop nulls.
CREATE OR REPLACE MACRO lakehook_marked(line) AS replace(regexp_replace(line::VARCHAR,
    '("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*|null)', '\1"lakehook:as-sent:\2"', 'g'), '"lakehook:as-sent:"', '')::JSON;
CREATE OR REPLACE MACRO lakehook_unmarked(value) AS
    regexp_replace(value::VARCHAR, '"lakehook:as-sent:([^"]*)"', '\1', 'g')::JSON;
CREATE OR REPLACE MACRO lakehook_differs(line, value) AS
    regexp_matches(value::VARCHAR, '[0-9][.eE]') AND NOT contains(line::VARCHAR, 'lakehook:as-sent:');
CREATE OR REPLACE MACRO lakehook_exact(line, place) AS CASE WHEN lakehook_differs(line, json_extract(line, place))
    THEN lakehook_unmarked(json_extract(lakehook_marked(line), place)) ELSE json_extract(line, place) END;
CREATE OR REPLACE MACRO lakehook_without(line, gone) AS json_merge_patch(line, gone,
    CASE json_type(line, '/extra') WHEN 'OBJECT' THEN json_extract(line, '/extra') ELSE '{}'::JSON END);
CREATE OR REPLACE MACRO lakehook_rest(line, gone) AS nullif((CASE
    WHEN lakehook_differs(line, lakehook_without(line, gone)) OR contains(json_extract(line, '/extra')::VARCHAR, ':null')
    THEN lakehook_unmarked(list_transform([lakehook_marked(line)], lambda marked: lakehook_without(marked, gone))[1])
    ELSE lakehook_without(line, gone) END)::VARCHAR, '{}')::JSON;
"#;
