//! The statements of a lake, engine by engine.

use super::catalogue::{Catalogue, Engine};
use super::{athena, dictionary, duckdb, trino};

impl Catalogue {
    /// The statements for an engine.
    pub fn statements(&self, engine: Engine) -> String {
        match engine {
            Engine::Duckdb => duckdb::statements(self),
            Engine::Athena => athena::statements(self),
            Engine::Trino => trino::statements(self),
            Engine::Dictionary => dictionary::page(self),
        }
    }
}
