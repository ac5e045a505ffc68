//! Where the console listens, as it is configured.

use std::borrow::Cow;
use std::net::SocketAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

/// The JSON Schema format of such a setting.
pub(super) const CONSOLE_FORMAT: &str = "console-address";
/// The word for no console at all.
const OFF: &str = "off";

/// Where the console listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleListen {
    /// Nowhere.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl ConsoleListen {
    /// Reads an address, or `off`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self::Off);
        }
        let address: Result<SocketAddr, _> = text.parse();
        address.map(Self::At).map_err(|_| {
            "must be an IP address with a port, such as \"127.0.0.1:4002\", or \"off\"".to_owned()
        })
    }
}

impl<'de> Deserialize<'de> for ConsoleListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for ConsoleListen {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConsoleListen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": CONSOLE_FORMAT })
    }
}
