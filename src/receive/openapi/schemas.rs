//! Schemas: those of answers are generated from their types, that of a request is the published contract.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::contract::{Rules, event_schema};

/// Where OpenAPI keeps schemas.
const DEFINITIONS: &str = "/components/schemas";

/// A reference to the schema of that name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{DEFINITIONS}/{name}")})
}

/// All schemas of the document.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    of_requests: Map<String, Value>,
}

impl Schemas {
    /// Starts with the schema of a request with events, as `Events`, and with those it refers to.
    pub(super) fn new(rules: &Rules) -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let generator = settings
            .with(|settings| settings.definitions_path = DEFINITIONS.into())
            .into_generator();
        Self {
            generator,
            of_requests: lifted(event_schema(rules)),
        }
    }

    /// The schema of an answer.
    pub(super) fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// The schema that this function generates.
    pub(super) fn generated(&mut self, schema: fn(&mut SchemaGenerator) -> Schema) -> Value {
        schema(&mut self.generator).to_value()
    }

    /// All schemas that were used, by name.
    pub(super) fn into_all(mut self) -> Map<String, Value> {
        let mut all = self.of_requests;
        all.extend(self.generator.take_definitions(true));
        all
    }
}

/// Turns a schema with its own definitions into separate schemas.
fn lifted(mut schema: Value) -> Map<String, Value> {
    let mut all = Map::new();
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        if let Some(Value::Object(definitions)) = root.remove("$defs") {
            all = definitions;
        }
    }
    all.insert("Events".to_owned(), schema);
    all.values_mut().for_each(redirect);
    all
}

/// Makes references point to where the definitions are now.
fn redirect(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(target) if name == "$ref" => {
                        *target = target.replacen("#/$defs/", &format!("#{DEFINITIONS}/"), 1);
                    }
                    other => redirect(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redirect),
        _ => {}
    }
}
