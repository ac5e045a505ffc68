//! The service's own pages, one row each: the path of a page, how it is answered, and what the description
//! says about it.
//!
//! The router, the OpenAPI description and the check of configured paths all follow from this table.

use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::app::App;
use super::health::{self, Health, METRICS_MEDIA_TYPE, Ready};

/// A page that is answered to GET and HEAD.
pub(super) struct Page {
    /// The path of the page.
    pub(super) path: &'static str,
    /// The page's `operationId` in the description.
    pub(super) name: &'static str,
    /// The page's summary in the description.
    pub(super) summary: &'static str,
    /// The media type of a successful answer.
    pub(super) media_type: &'static str,
    /// The schema of a successful answer.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    /// Whether the page is answered 503 while requests are refused.
    pub(super) can_be_unready: bool,
    /// Whether the page moves to `server.metrics_listen`, if that is set.
    pub(super) is_metrics: bool,
    /// Answers a request.
    pub(super) answer: fn(&App) -> Response,
}

const JSON: &str = "application/json";

/// All of the service's own pages.
pub(super) const PAGES: [Page; 4] = [
    Page {
        path: "/health",
        name: "health",
        summary: "Alive, with figures",
        media_type: JSON,
        schema: of::<Health>,
        can_be_unready: false,
        is_metrics: false,
        answer: health::health,
    },
    Page {
        path: "/ready",
        name: "ready",
        summary: "Whether requests are accepted",
        media_type: JSON,
        schema: of::<Ready>,
        can_be_unready: true,
        is_metrics: false,
        answer: health::ready,
    },
    Page {
        path: "/metrics",
        name: "metrics",
        summary: "Prometheus text format",
        media_type: METRICS_MEDIA_TYPE,
        schema: |_| json_schema!({"type": "string"}),
        can_be_unready: false,
        is_metrics: true,
        answer: health::metrics,
    },
    Page {
        path: "/openapi.json",
        name: "openapi",
        summary: "This description",
        media_type: JSON,
        schema: |_| json_schema!({"type": "object"}),
        can_be_unready: false,
        is_metrics: false,
        answer: health::openapi,
    },
];

/// The paths of these pages, which no webhook may take.
pub const PATHS: [&str; PAGES.len()] = {
    let mut paths = [""; PAGES.len()];
    let mut index = 0;
    while index < PAGES.len() {
        paths[index] = PAGES[index].path;
        index += 1;
    }
    paths
};

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
