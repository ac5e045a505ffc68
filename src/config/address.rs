//! Addresses, as the file has them.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The JSON Schema format of addresses.
pub(super) const ADDRESS_FORMAT: &str = "socket-address";

pub(super) fn address_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": ADDRESS_FORMAT })
}

/// The JSON Schema format of the address of a node, which the other nodes are told of.
pub(super) const NODE_ADDRESS_FORMAT: &str = "node-address";

pub(super) fn node_address_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": NODE_ADDRESS_FORMAT })
}
