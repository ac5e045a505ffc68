//! The document: the paths, and the operation at each.

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::super::admission::{Proof, Proofs};
use super::super::app::ReceiveSettings;
use super::super::body::ENCODING_NAMES;
use super::super::hooks::Hook;
use super::super::jwt::{Jwt, JwtPlace};
use super::super::packs::{Challenge, Shape};
use super::super::pages::{PAGES, Page};
use super::super::replies::Success;
use super::answers::{self, NOT_READY, ProblemClass};
use super::schemas::{Schemas, reference};
use crate::contract::Rules;

const DESCRIPTION: &str = "\
A 2xx is durable: it leaves after the sync of the write that holds the events, and each of them is then in the lake \
exactly once. Retry 429, 5xx and lost answers with the same `event_id`.\n\n\
Everything but success is a problem (RFC 9457); its `type` is a stable word. Other paths are answered 404, other \
methods 405.";

/// Describes what is served with these settings and these rules for events.
pub fn document(settings: &ReceiveSettings, rules: &Rules) -> Value {
    let mut schemas = Schemas::new(rules);
    let mut paths = Map::new();
    let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
    paths.insert(endpoint, json!({"post": webhook(settings, &mut schemas)}));
    for hook in &settings.hooks {
        let operation = json!({"post": of_hook(hook, &mut schemas)});
        paths.insert(hook.path.to_string(), operation);
    }
    for page in &PAGES {
        if !(page.is_metrics && settings.metrics_elsewhere) {
            let operation = of_page(page, &mut schemas);
            paths.insert(page.path.to_owned(), json!({"get": operation}));
        }
    }
    let responses = answers::shared(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lakehook",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.into_all(),
            "responses": responses,
            "headers": answers::headers(),
            "parameters": parameters(),
            "securitySchemes": security_schemes(settings),
        },
    })
}

/// The possible answers of a webhook do not depend on the configuration, apart from credentials.
fn webhook(settings: &ReceiveSettings, schemas: &mut Schemas) -> Value {
    let mut needed = Map::new();
    for (name, is_needed) in [
        ("token", settings.tokens.are_required()),
        ("signature", settings.signing.is_some()),
    ] {
        if is_needed {
            needed.insert(name.to_owned(), json!([]));
        }
    }
    let security = if needed.is_empty() {
        json!([])
    } else {
        json!([needed])
    };
    let max_bytes = settings.body.max_bytes;
    json!({
        "operationId": "sendEvents",
        "summary": "Send events",
        "description": format!(
            "At most {max_bytes} bytes, as sent and after decoding. An event whose type has a schema must be valid \
             against it. The same path with a slash behind it is the same."
        ),
        "security": security,
        "parameters": request_parameters(),
        "requestBody": {
            "required": true,
            "content": {
                "application/json": {"schema": reference("Events"), "example": example()},
                "text/plain": {"schema": {
                    "description": "The same JSON; browsers send it so without asking first.",
                    "type": "string",
                    "contentMediaType": "application/json",
                }},
            },
        },
        "responses": answers::of_webhook(schemas.of::<Success>()),
    })
}

fn of_hook(hook: &Hook, schemas: &mut Schemas) -> Value {
    let success = schemas.of::<Success>();
    let answers = [Challenge::Slack, Challenge::Zoom];
    let body = if answers
        .iter()
        .any(|question| hook.challenges.contains(question))
    {
        let challenge = json!({
            "type": "object",
            "description": "The challenge that was sent.",
            "properties": {"challenge": {"type": "string"}},
            "required": ["challenge"],
            "additionalProperties": false,
        });
        json!({"anyOf": [success, challenge]})
    } else {
        success
    };
    json!({
        "operationId": operation_id(hook),
        "summary": format!("Webhook of {}", hook.name),
        "description": "One event or several, as the provider sends them; each becomes the properties of its row. The same \
                        path with a slash behind it is the same.",
        "security": hook_security(hook),
        "parameters": request_parameters(),
        "requestBody": {"required": true, "content": bodies_of_hook(hook)},
        "responses": answers::of_webhook(body),
    })
}

fn of_page(page: &Page, schemas: &mut Schemas) -> Value {
    let content = (page.media_type, schemas.generated(page.schema));
    let problems: &[ProblemClass] = if page.can_be_unready {
        &[NOT_READY]
    } else {
        &[]
    };
    json!({
        "operationId": page.name,
        "summary": page.summary,
        "security": [],
        "responses": answers::of_page(content, problems),
    })
}

fn request_parameters() -> Value {
    json!([
        {"$ref": "#/components/parameters/ContentEncoding"},
        {"$ref": "#/components/parameters/RequestId"},
    ])
}

fn parameters() -> Value {
    json!({
        "ContentEncoding": {
            "name": "Content-Encoding",
            "in": "header",
            "description": "How the body is encoded; in any case.",
            "schema": {"type": "string", "enum": ENCODING_NAMES},
        },
        "RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Comes back with the answer, and is kept with what is refused: 1 to 128 visible ASCII \
                            characters. Anything else is replaced.",
            "schema": {"type": "string"},
        },
    })
}

fn security_schemes(settings: &ReceiveSettings) -> Value {
    let mut schemes = Map::new();
    if settings.tokens.are_required() {
        schemes.insert(
            "token".to_owned(),
            json!({"type": "http", "scheme": "bearer"}),
        );
    }
    let signature = |header: &str, of: &str| {
        let description = format!("Signature of {of} over the body as it is sent.");
        json!({"type": "apiKey", "in": "header", "name": header, "description": description})
    };
    let of_events = settings.signing.as_ref().map(Proofs::list);
    if let Some([Proof::Signature(signing), ..]) = of_events.as_deref().map(Vec::as_slice) {
        let of = "Standard Webhooks, with webhook-id and webhook-timestamp,";
        schemes.insert("signature".to_owned(), signature(signing.header(), of));
    }
    for hook in &settings.hooks {
        for (index, proof) in hook.proofs.list().iter().enumerate() {
            let described = match proof {
                Proof::Signature(signing) => signature(signing.header(), &hook.name),
                Proof::Header(name, _) => {
                    let description = format!("A secret of {}.", hook.name);
                    json!({"type": "apiKey", "in": "header", "name": name.as_str(), "description": description})
                }
                Proof::Query(name, _) => {
                    let description = format!("A secret of {}.", hook.name);
                    json!({"type": "apiKey", "in": "query", "name": name, "description": description})
                }
                Proof::Jwt(Jwt {
                    place: JwtPlace::Header(name),
                    ..
                }) => of_token(name, &hook.name),
                Proof::Bearer(_) => json!({"type": "http", "scheme": "bearer"}),
                Proof::Basic(_) => json!({"type": "http", "scheme": "basic"}),
                // The description has no word for a secret or a signature in a body.
                Proof::Member(..)
                | Proof::InBody(_)
                | Proof::Jwt(_)
                | Proof::Topics(_)
                | Proof::Open => continue,
            };
            schemes.insert(hook_scheme(hook, index), described);
        }
    }
    Value::Object(schemes)
}

/// A JSON Web Token in a header.
fn of_token(name: &HeaderName, hook: &str) -> Value {
    if name == AUTHORIZATION {
        return json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"});
    }
    let description = format!("A JSON Web Token of {hook}.");
    json!({"type": "apiKey", "in": "header", "name": name.as_str(), "description": description})
}

/// The media types that a hook takes, each with what may come in it.
fn bodies_of_hook(hook: &Hook) -> Value {
    let event = json!({"type": "object"});
    let json = match hook.shape {
        Shape::Batch(_) => {
            json!({"type": "object", "properties": {"batch": {"type": "array", "items": event}}})
        }
        _ => json!({"anyOf": [event, {"type": "array", "items": event}]}),
    };
    let text = json!({"type": "string", "contentMediaType": "application/json"});
    let mut bodies = json!({
        "application/json": {"schema": json},
        "text/plain": {"schema": text},
    });
    if hook.proofs.take_tokens() {
        let token = "A JSON Web Token, whose claims are the event.";
        bodies["application/jwt"] = json!({"schema": {"description": token, "type": "string"}});
    }
    match hook.shape {
        Shape::CloudEvents => {
            bodies["application/cloudevents+json"] = json!({"schema": event});
            let list = json!({"type": "array", "items": event});
            bodies["application/cloudevents-batch+json"] = json!({"schema": list});
        }
        Shape::Events | Shape::Batch(_) => {
            bodies["application/x-www-form-urlencoded"] = json!({"schema": event});
            bodies["multipart/form-data"] = json!({"schema": event});
            let lines = "One event on each line.";
            bodies["application/x-ndjson"] =
                json!({"schema": {"description": lines, "type": "string"}});
        }
    }
    bodies
}

/// A hook with several paths has an operation at each.
fn operation_id(hook: &Hook) -> String {
    let path = hook.path.trim_matches('/');
    if hook.has_routes {
        format!("hook_{}_{}", hook.name, path.replace('/', "_"))
    } else {
        format!("hook_{}", hook.name)
    }
}

/// The name of a hook's way of authentication.
fn hook_scheme(hook: &Hook, index: usize) -> String {
    match index {
        0 => format!("hook_{}", hook.name),
        index => format!("hook_{}_{}", hook.name, index + 1),
    }
}

/// Any of the ways will do.
fn hook_security(hook: &Hook) -> Vec<Value> {
    if !hook.proofs.authenticate() {
        return Vec::new();
    }
    let proofs = hook.proofs.list();
    let ways = proofs.iter().enumerate();
    ways.map(|(index, proof)| match proof {
        Proof::Member(..) | Proof::InBody(_) | Proof::Topics(_) => json!({}),
        Proof::Jwt(jwt) if jwt.place == JwtPlace::Body => json!({}),
        _ => json!({hook_scheme(hook, index): []}),
    })
    .collect()
}

fn example() -> Value {
    json!({"events": [{
        "event_id": "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11",
        "user_id": "u-1",
        "event_type": "purchase",
        "source": "web",
        "timestamp": "2026-11-21T04:03:18Z",
        "properties": {"amount": 9.5, "product_id": "p-1"},
    }]})
}
