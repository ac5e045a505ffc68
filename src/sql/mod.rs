//! Statements that make the lake queryable: views and tables for DuckDB, Athena and Trino. Pure: turns the
//! configuration, the schemas and the list of objects into text.

mod athena;
mod catalogue;
mod current;
mod dictionary;
pub mod distinct;
mod duckdb;
mod layout;
mod readers;
mod statements;
mod text;
mod trino;

pub use catalogue::{Catalogue, Current, Deleted, Engine, Relation, Stream};
pub use layout::{Key, There};
pub use readers::{Reader, Verdict, Written};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
