//! What was refused: how often for which reason, which rows, and files of them to keep.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::quarantine_index::{DAYS, Filter, index};
use super::quarantine_replay::{can_replay, form, is_under_way, state};
use crate::console::asked::{Fields, link};
use crate::console::layout::{Page, View, Visit, notice};
use crate::console::state::Console;
use crate::console::{reply, shown};
use crate::replay::index::{QuarantineIndex, RowLine};
use crate::replay::kinds::{Kind, KindCount};

/// Rows of one page.
const ROWS: usize = 50;
/// Kinds of one page; there may be a thousand.
const KINDS: usize = 100;

/// A link to a page or file about a kind, or about all rows.
fn link_to(path: &str, kind: Option<&Kind>, more: &[(&str, &str)]) -> String {
    let mut parameters = Vec::new();
    if let Some(kind) = kind {
        parameters.extend([
            ("stream", kind.stream.as_str()),
            ("reason", &kind.reason),
            ("code", &kind.code),
            ("pointer", &kind.pointer),
        ]);
    }
    parameters.extend_from_slice(more);
    link(path, &parameters)
}

/// The page.
pub(in crate::console) async fn page(
    console: &std::sync::Arc<Console>,
    fields: &Fields,
    visit: &Visit,
) -> Page<'static> {
    let looked = index(console).await;
    let filter = Filter::of(fields);
    let content = html! {
        h1 { "Quarantine" }
        p .lead {
            "What was refused in the last " (DAYS) " days, with the reason. Rows get here with their object, at most "
            (shown::duration(console.settings.batch_age)) " after they came in."
        }
        (state(console))
        @if let Some(error) = looked.error() {
            (notice("bad", &html! { strong { "The lake cannot be read: " } (error) }))
        }
        @match looked.value() {
            None if looked.is_under_way => p { "The lake is being read …" },
            None => {},
            Some(index) => (body(index, &filter, fields, visit)),
        }
    };
    Page {
        is_unfinished: looked.is_under_way || is_under_way(console),
        ..Page::of(View::Quarantine, content)
    }
}

fn body(index: &QuarantineIndex, filter: &Filter, fields: &Fields, visit: &Visit) -> Markup {
    html! {
        @if index.unread > 0 {
            p .hint { (shown::counted(index.unread as u64, "object is", "objects are")) " still to be read." }
        }
        @if index.left_out > 0 {
            (notice("warn", &html! {
                (shown::counted(index.left_out as u64, "older object is", "older objects are")) " left out. "
                code { "lakehook quarantine list" } " counts all of them."
            }))
        }
        @for (key, error) in index.unreadable() {
            (notice("bad", &html! { code { (key) } " cannot be read: " (error) }))
        }
        @match &filter.kind {
            None => (kinds(index)),
            Some(kind) => (one_kind(index, kind, visit)),
        }
        (rows(index, filter, fields))
    }
}

/// How often what was refused.
fn kinds(index: &QuarantineIndex) -> Markup {
    let kinds = index.kinds();
    if kinds.is_empty() {
        return html! {
            section .card .empty {
                p { strong { "Nothing was refused." } }
                p .faint { "What breaks the contract is kept here, with the place and the rule." }
            }
        };
    }
    html! {
        section .card {
            h2 { (shown::counted(index.rows(), "row", "rows")) ", by what is wrong" }
            div .scroll {
                table {
                    thead { tr {
                        th scope="col" .number .first { "Rows" } th scope="col" { "Rule" } th scope="col" { "Place" }
                        th scope="col" { "Reason" } th scope="col" { "Stream" } th scope="col" { "Last" }
                    } }
                    tbody {
                        @for count in kinds.iter().take(KINDS) { (kind_row(count)) }
                    }
                }
            }
            @if kinds.len() > KINDS { p .beneath { "and " (kinds.len() - KINDS) " more kinds" } }
        }
    }
}

fn kind_row(count: &KindCount) -> Markup {
    let kind = &count.kind;
    html! {
        tr {
            td .number .first { (shown::count(count.rows)) }
            td { a href=(link_to("/quarantine", Some(kind), &[])) { (kind.code) } }
            td { code { (kind.pointer) } }
            td { (words(&kind.reason)) }
            td { (kind.stream) }
            td .nowrap { (shown::time_text(&count.last_received_at)) }
        }
    }
}

/// A reason in words.
pub(in crate::console) fn words(reason: &str) -> &str {
    match reason {
        "invalid_event" => "invalid event",
        "id_conflict" => "known id, other content",
        "refused_request" => "refused request",
        "invalid_record" => "invalid record",
        other => other,
    }
}

/// What distinguishes the rows that are shown.
fn one_kind(index: &QuarantineIndex, kind: &Kind, visit: &Visit) -> Markup {
    let lines = index.lines(|own| own == kind);
    let left = lines.iter().filter(|line| index.replayed(line).is_none());
    let left = left.count();
    let hidden = [
        ("stream", kind.stream.as_str()),
        ("reason", &kind.reason),
        ("code", &kind.code),
        ("pointer", &kind.pointer),
    ];
    html! {
        section .card {
            div .head {
                h2 { (kind.code) " at " code { (kind.pointer) } }
                a .back href="/quarantine" { "All kinds" }
            }
            p .faint { (words(&kind.reason)) " for the stream " (kind.stream) }
            @if can_replay(kind) && left > 0 { (form(visit, &hidden, left)) }
        }
    }
}

fn rows(index: &QuarantineIndex, filter: &Filter, fields: &Fields) -> Markup {
    let lines = index.lines(|kind| filter.has(kind));
    if lines.is_empty() {
        return html! {};
    }
    let page = usize::try_from(fields.number("page").unwrap_or(0)).unwrap_or(0);
    let pages = lines.len().div_ceil(ROWS);
    let kind = filter.kind.as_ref();
    html! {
        section .card {
            div .head {
                h2 { "Newest rows" }
                span .downloads {
                    a href=(link_to("/quarantine/rows.ndjson", kind, &[])) download { "NDJSON" }
                    a href=(link_to("/quarantine/rows.csv", kind, &[])) download { "CSV" }
                }
            }
            div .scroll {
                table {
                    thead { tr {
                        th scope="col" { "Received" } th scope="col" { "What is wrong" } th scope="col" { "Request" }
                        th scope="col" { "From" } th scope="col" .number { "Bytes" }
                    } }
                    tbody {
                        @for line in lines.iter().skip(page * ROWS).take(ROWS) { (row(index, line)) }
                    }
                }
            }
            (turns(kind, page, pages))
        }
    }
}

fn row(index: &QuarantineIndex, line: &RowLine) -> Markup {
    html! {
        tr {
            td .nowrap { a href=(link_to_row(&line.key, line.lsn)) { (shown::time_text(&line.received_at)) } }
            td {
                code { (line.kind.pointer) } " " (line.detail)
                @if index.replayed(line).is_some() { " " span .pill .good { "replayed" } }
            }
            td { code { (line.request_id) } }
            td { @match &line.client { Some(client) => (client), None => span .faint { "–" } } }
            td .number { (shown::count(line.raw_bytes)) }
        }
    }
}

/// The page of a row.
pub(in crate::console) fn link_to_row(key: &str, lsn: u64) -> String {
    link(
        "/quarantine/row",
        &[("key", key), ("lsn", &lsn.to_string())],
    )
}

/// Links to the pages before and after this one.
fn turns(kind: Option<&Kind>, page: usize, pages: usize) -> Markup {
    let to = |page: usize| link_to("/quarantine", kind, &[("page", &page.to_string())]);
    html! {
        @if pages > 1 {
            p .turns {
                @if page > 0 { a href=(to(page - 1)) rel="prev" { "Newer" } }
                span .faint { "page " (page + 1) " of " (pages) }
                @if page + 1 < pages { a href=(to(page + 1)) rel="next" { "Older" } }
            }
        }
    }
}

/// The rows as a file.
pub(in crate::console) async fn download(
    console: &std::sync::Arc<Console>,
    fields: &Fields,
    is_csv: bool,
    visit: &Visit,
) -> Response {
    let looked = index(console).await;
    let Some(index) = looked.value().filter(|_| !looked.is_under_way) else {
        // The page says what is the matter, and leads here again.
        let page = page(console, fields, visit).await;
        return reply::page(StatusCode::SERVICE_UNAVAILABLE, page.render(console, visit));
    };
    let filter = Filter::of(fields);
    let lines = index.lines(|kind| filter.has(kind));
    if is_csv {
        return reply::download("text/csv; charset=utf-8", "quarantine.csv", csv(&lines));
    }
    let mut text = Vec::new();
    for line in lines {
        crate::json::push_json(&mut text, line);
        text.push(b'\n');
    }
    reply::download("application/x-ndjson", "quarantine.ndjson", text)
}

/// A table for people. Programs that show tables take a text which begins like a formula for one, so that such a text
/// gets a quotation mark before it.
fn csv(lines: &[&RowLine]) -> String {
    let mut text = String::from(
        "received_at,lsn,key,stream,reason,code,pointer,detail,endpoint,request_id,client,raw_bytes\r\n",
    );
    for line in lines {
        let (lsn, bytes) = (line.lsn.to_string(), line.raw_bytes.to_string());
        let kind = &line.kind;
        let cells: [&str; 12] = [
            &line.received_at,
            &lsn,
            &line.key,
            &kind.stream,
            &kind.reason,
            &kind.code,
            &kind.pointer,
            &line.detail,
            &line.endpoint,
            &line.request_id,
            line.client.as_deref().unwrap_or_default(),
            &bytes,
        ];
        let cells = cells.map(cell);
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_out() {
        for (text, shown) in [
            ("plain", "\"plain\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("a\",=1", "\"a\"\",=1\""),
        ] {
            assert_eq!(cell(text), shown);
        }
    }
}
