//! Schemas: of answers, generated from their types; of requests, the published contract.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::contract::{Rules, event_schema};

/// Where OpenAPI keeps schemas.
const PLACE: &str = "/components/schemas";

/// The schema of that name, wherever it is needed.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{PLACE}/{name}")})
}

/// All schemas of the document.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    of_requests: Map<String, Value>,
}

impl Schemas {
    /// With those of a request of events, as `Events` and what it refers to.
    pub(super) fn new(rules: &Rules) -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let generator = settings
            .with(|settings| settings.definitions_path = PLACE.into())
            .into_generator();
        Self {
            generator,
            of_requests: lifted(event_schema(rules)),
        }
    }

    /// That of an answer.
    pub(super) fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// Every schema that was asked for, by name.
    pub(super) fn into_all(mut self) -> Map<String, Value> {
        let mut all = self.of_requests;
        all.extend(self.generator.take_definitions(true));
        all
    }
}

/// A schema with definitions of its own, as schemas side by side.
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

/// Has references lead to where definitions are now.
fn redirect(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(target) if name == "$ref" => {
                        *target = target.replacen("#/$defs/", &format!("#{PLACE}/"), 1);
                    }
                    other => redirect(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redirect),
        _ => {}
    }
}
