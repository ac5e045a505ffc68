//! Files: the feed that reads files from an inbox and writes their rows straight to objects of the lake.
//!
//! ```text
//!  keeper ─▶ pass ─▶ folder ─▶ unpacked ─▶ csv, ndjson, document ─▶ taker ─┬─▶ parcel ─▶ lake
//!              │                                        ▲                 └─ refused ─▶ log (held for the run)
//!              │                                 known_ids
//!              └─ end of the run in the log, with the list of parcels ─▶ marker: visible
//! ```
//!
//! Rows do not pass the log: the file is the log. A file is visible whole or not at all, by the marker of its
//! run; whatever breaks off before the run's end is durable is read again. What is remembered of files
//! (`ledger`) and of their ids (`known_ids`) counts only once the log has the end of the run that it belongs
//! to.

pub mod definition;
pub mod report;
pub mod feed;
pub mod control;
pub mod dry;
pub mod probe;
pub mod keeper;
mod looking;
mod shared;
pub mod plan;
mod pass;
mod picking;
mod choosing;
mod run;
mod marker;
mod settling;
pub mod replay;
mod judging;
mod side_by_side;
mod taker;
mod harvest;
mod straight;
mod parcel;
mod row_spool;
mod reading;
mod columnar;
mod document;
mod ndjson;
mod csv;
mod record;
mod table_row;
mod row_batch;
mod cells;
mod unpacked;
mod known_ids;
mod fresh_ids;
mod id_buckets;
mod spilled_ids;
mod id_entry;
mod id_file;
mod id_filter;
mod ledger;
mod parts;
mod source;
mod watch;
mod bucket;
mod folder;
mod pattern;
