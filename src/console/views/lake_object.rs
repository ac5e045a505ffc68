//! One object of the lake: what it says of itself, and its first rows.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::console::asked::Fields;
use crate::console::layout::{Page, View, notice};
use crate::console::readings::Looked;
use crate::console::state::{Console, ShownObject};
use crate::console::{json_view, shown};
use crate::encode::ObjectReader;
use crate::lake::keys::{INTERNAL, holder_of};
use crate::lake::reader::LakeReader;
use crate::lake::stamp::Stamp;

/// An object does not change but by an erasure.
const MAX_AGE: Duration = Duration::from_secs(10);
/// So many rows are shown.
const MAX_ROWS: usize = 10;
/// Larger objects are not looked into.
const MAX_BYTES: u64 = 32 << 20;

/// The page.
pub(in crate::console) async fn page(console: &Arc<Console>, fields: &Fields) -> Page<'static> {
    let key = fields.get("key").to_owned();
    let looked = look(console, &key).await;
    let shows = console.settings.shows_values;
    let content = html! {
        p .up { a href="/lake" { "Lake" } }
        h1 .key-name { (key) }
        @match (looked.value(), looked.error()) {
            (Some(Some(object)), _) => { (facts(object)) (rows(object, shows)) },
            (Some(None), _) => p { "There is no such object of rows in the lake." },
            (None, Some(error)) => (notice("bad", &html! { strong { "It cannot be read: " } (error) })),
            (None, None) => p { "The object is being read …" },
        }
    };
    Page {
        is_unfinished: looked.is_under_way && looked.value().is_none(),
        ..Page::of(View::Lake, content)
    }
    .titled("An object")
}

async fn look(console: &Arc<Console>, key: &str) -> Looked<Option<ShownObject>> {
    let (own, wanted) = (Arc::clone(console), key.to_owned());
    let read = async move |_| {
        // Nothing but objects of rows is read here.
        let is_plain = wanted
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
        if holder_of(&wanted).is_none() || !is_plain || wanted.starts_with(INTERNAL) {
            return Ok(None);
        }
        shown_of(own.lake().await, &wanted).await
    };
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .objects
        .look(&console.beside, key.to_owned(), ages, read)
        .await
}

async fn shown_of(place: &LakeReader, key: &str) -> Result<Option<ShownObject>, String> {
    let looked = place.look(key).await.map_err(|error| error.to_string())?;
    let Some(looked) = looked else {
        return Ok(None);
    };
    let stamp = Stamp::from_metadata(&looked.metadata).map_err(|error| error.to_string());
    let mut shown = ShownObject {
        bytes: looked.bytes,
        stamp,
        rows: None,
    };
    if looked.bytes <= MAX_BYTES {
        let bytes = place.read(key).await.map_err(|error| error.to_string())?;
        let key = key.to_owned();
        let rows = tokio::task::spawn_blocking(move || first_rows(&key, bytes.unwrap_or_default()));
        let rows = rows.await.map_err(|error| error.to_string())?;
        shown.rows = Some(rows.map_err(|error| error.to_string())?);
    }
    Ok(Some(shown))
}

fn first_rows(key: &str, bytes: Vec<u8>) -> std::io::Result<Vec<String>> {
    let mut rows = Vec::new();
    ObjectReader::of_key(key)?.each(bytes, &mut |row: Map<String, Value>| {
        rows.push(Value::Object(row).to_string());
        Ok(rows.len() < MAX_ROWS)
    })?;
    Ok(rows)
}

fn facts(object: &ShownObject) -> Markup {
    html! {
        section .card {
            @match &object.stamp {
                Ok(stamp) => dl .facts {
                    div { dt { "Rows" } dd { (shown::count(stamp.count)) } }
                    div { dt { "Bytes" } dd { (shown::bytes(object.bytes)) } }
                    div { dt { "LSNs" } dd { (stamp.first_lsn) " to " (stamp.last_lsn) } }
                    div { dt { "Node" } dd { (stamp.node) } }
                    div { dt { "Seal" } dd { (stamp.seal) } }
                    div { dt { "As of then, in the lake is all before" } dd { (shown::time_text(&stamp.as_of.watermark)) } }
                    @if let Some(erased) = stamp.erased { div { dt { "Erased" } dd { (shown::counted(erased.rows, "row", "rows")) } } }
                },
                Err(error) => {
                    dl .facts { div { dt { "Bytes" } dd { (shown::bytes(object.bytes)) } } }
                    p .warn-text { "It is not one of ours, or says too little of itself: " (error) }
                },
            }
        }
    }
}

fn rows(object: &ShownObject, shows_values: bool) -> Markup {
    html! {
        section .card {
            h2 { "First rows" }
            @match &object.rows {
                None => p .faint { "The object is too large to look into from here; a query reads it." },
                Some(rows) => {
                    @for row in rows {
                        @if let Some(json) = json_view::view(row, &[], shows_values) { (json) }
                    }
                    @if !shows_values {
                        p .beneath { "Values are hidden; " code { "server.console_show_values = true" } " shows them." }
                    }
                },
            }
        }
    }
}
