//! A program with traces.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::endpoint::endpoint;

/// Requests that wait for the object with their rows; the oldest are forgotten.
const MAX_WAITING: usize = 4096;
/// Requests that one object links to.
const MAX_LINKS: usize = 128;
/// What is left is sent within this time when the program ends.
const LAST_LIMIT: Duration = Duration::from_secs(5);

/// The traces of this process.
struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    waiting: Mutex<VecDeque<Waiting>>,
}

/// A request whose rows are in the log, by one of its partitions.
struct Waiting {
    partition: Box<str>,
    context: SpanContext,
}

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Sends what is left when it is dropped.
pub struct Tracing(());

/// A request.
#[derive(Clone, Debug, Default)]
pub struct RequestSpan(Option<Context>);

/// The way of a request's rows into the log.
pub struct LogSpan(Option<(Span, SpanContext, Vec<String>)>);

/// The put of an object.
pub struct PutSpan(Option<(Span, String)>);

/// Starts to send traces, if the environment names a collector. The other variables are those of OpenTelemetry.
pub fn start() -> Result<Tracing, String> {
    let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value == "true");
    let Some(variable) = endpoint().filter(|_| !is_off) else {
        return Ok(Tracing(()));
    };
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|error| format!("{variable} cannot be used: {error}"))?;
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("lakehook");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let _set_before = TRACES.set(Traces {
        tracer: provider.tracer("lakehook"),
        provider,
        waiting: Mutex::default(),
    });
    tracing::info!(variable, "traces are sent");
    Ok(Tracing(()))
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if let Some(traces) = TRACES.get()
            && let Err(error) = traces.provider.shutdown_with_timeout(LAST_LIMIT)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl RequestSpan {
    /// Begins, within the trace that the sender names.
    pub fn begin(headers: &HeaderMap, path: &str) -> Self {
        let Some(traces) = TRACES.get() else {
            return Self(None);
        };
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let attributes = [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", path.to_owned()),
        ];
        let span = traces.tracer.span_builder("receive");
        let span = span.with_kind(SpanKind::Server).with_attributes(attributes);
        let span = span.start_with_context(&traces.tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// The rows go to the log, into these partitions.
    pub fn log(&self, partitions: &[String]) -> LogSpan {
        let (Some(traces), Some(request)) = (TRACES.get(), &self.0) else {
            return LogSpan(None);
        };
        let context = request.span().span_context().clone();
        if !context.is_sampled() {
            return LogSpan(None);
        }
        let span = traces.tracer.span_builder("log");
        let span = span.start_with_context(&traces.tracer, request);
        LogSpan(Some((span, context, partitions.to_vec())))
    }

    /// Ends with the status of the answer.
    pub fn end(&self, status: u16) {
        if let Some(request) = &self.0 {
            let span = request.span();
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
            if status >= 500 {
                span.set_status(Status::error(""));
            }
            span.end();
        }
    }
}

impl LogSpan {
    /// The rows are durable, or were not taken.
    pub fn end(self, is_durable: bool) {
        let (Some(traces), Some((mut span, context, partitions))) = (TRACES.get(), self.0) else {
            return;
        };
        if !is_durable {
            span.set_status(Status::error("the log did not take the rows"));
            span.end();
            return;
        }
        span.end();
        let mut waiting = traces
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for partition in partitions {
            if waiting.len() == MAX_WAITING {
                waiting.pop_front();
            }
            waiting.push_back(Waiting {
                partition: partition.into_boxed_str(),
                context: context.clone(),
            });
        }
    }
}

impl PutSpan {
    /// Begins the put of an object.
    pub fn begin(key: &str, rows: u64) -> Self {
        let Some(traces) = TRACES.get() else {
            return Self(None);
        };
        let attributes = [
            KeyValue::new("lakehook.key", key.to_owned()),
            KeyValue::new("lakehook.rows", i64::try_from(rows).unwrap_or(i64::MAX)),
        ];
        let span = traces.tracer.span_builder("put");
        let span = span.with_kind(SpanKind::Client).with_attributes(attributes);
        let span = span.start_with_context(&traces.tracer, &Context::new());
        let partition = key.rsplit_once('/').map_or("", |(partition, _)| partition);
        Self(Some((span, partition.to_owned())))
    }

    /// The object is in the lake, or could not be put.
    pub fn end(self, is_put: bool) {
        let (Some(traces), Some((mut span, partition))) = (TRACES.get(), self.0) else {
            return;
        };
        if is_put {
            let mut waiting = traces
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let mut links = 0;
            waiting.retain(|request| {
                let is_in = *request.partition == *partition;
                if is_in && links < MAX_LINKS {
                    span.add_link(request.context.clone(), Vec::new());
                    links += 1;
                }
                !is_in
            });
        } else {
            span.set_status(Status::error(
                "the object could not be put; it is tried again",
            ));
        }
        span.end();
    }
}
