//! The statements of a lake for each engine.

use super::catalogue::{Catalogue, Engine};
use super::{athena, dictionary, duckdb, trino};

impl Catalogue {
    /// The statements for one engine.
    pub fn statements(&self, engine: Engine) -> String {
        match engine {
            Engine::Duckdb => duckdb::statements(self),
            Engine::Athena => athena::statements(self),
            Engine::Trino => trino::statements(self),
            Engine::Dictionary => dictionary::page(self),
        }
    }
}
