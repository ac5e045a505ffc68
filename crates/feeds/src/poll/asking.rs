//! How an appending run asks for what is new: where its mark goes in a request, and in which form.
//! Pure.

use chrono_tz::Tz;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::definition::{self, Body, Request};
use super::schedule::parse_zone;
use super::template::Filler;
use crate::mark_format::{ASK_FOR_FORMAT, Ambiguous, MarkFormat};
use crate::watermark::{Lag, Mark};
use lakehook_base::secret::Secret;

/// The lag of times, and of serial numbers, unless another one is configured.
const DEFAULT_LAG: Lag = Lag {
    time: std::time::Duration::from_secs(60),
    count: 60,
};
/// The placeholder of the mark.
const PLAIN: &str = "{mark}";
/// What a mark that is text may hold where other text stands around it.
const PLAIN_MARKS: &str = "-_.:+/=@,";

/// How an appending run asks for what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskFrom {
    /// Name of the parameter, unless a placeholder says where the mark stands.
    pub param: Option<String>,
    /// How records write it.
    pub format: MarkFormat,
    /// How requests write it.
    pub sent_as: MarkFormat,
    /// The next run asks from this much before the highest value seen.
    pub lag: Lag,
    /// The mark of the first run.
    pub start: Option<Mark>,
    /// Whether other text stands around the mark, such as quotes.
    is_embedded: bool,
}

/// A place in a request, with the template of what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A parameter.
    Query(String, String),
    /// A header.
    Header(String, String),
    /// A JSON Pointer into the body.
    Body(String, String),
    /// The URL holds `{mark}`.
    Path,
}

/// A setting of the watermark that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its key within `watermark`.
    pub key: &'static str,
    /// The rule that it breaks.
    pub rule: String,
}

fn wrong(key: &'static str, rule: impl Into<String>) -> Wrong {
    let rule = rule.into();
    Wrong { key, rule }
}

impl AskFrom {
    /// Reads the settings of a watermark, whose mark goes into `request`; `None` if there is none.
    pub fn new(
        mark: &definition::Watermark,
        request: &Request,
    ) -> Result<Option<Self>, Vec<Wrong>> {
        let mut wrongs = Vec::new();
        let holders = holders(request);
        let formats = format_of(mark, &mut wrongs);
        let place = place_of(mark, &mut wrongs);
        if mark.is_empty() {
            return if wrongs.is_empty() {
                Ok(None)
            } else {
                Err(wrongs)
            };
        }
        let is_nowhere = place.is_none() && mark.param.is_none() && holders.is_empty();
        if mark.field.is_none() || is_nowhere && !mark.begins {
            wrongs.push(wrong(
                "",
                "watermark.field says which field grows, and watermark.param or watermark.into where the \
                 request asks for what is new, unless {mark} stands in it or pagination.begin = \"mark\"; set both",
            ));
        }
        if let Some(place) = &place
            && let Err(rule) = place.check(request, &holders)
        {
            wrongs.push(wrong("into", rule));
        }
        let Some((format, sent_as)) = formats else {
            return Err(wrongs);
        };
        let sent_as = sent_as.unwrap_or_else(|| match &place {
            // This header has only one form.
            Some(Place::Header(name, _))
                if name.eq_ignore_ascii_case("if-modified-since") && format.is_time() =>
            {
                MarkFormat::Rfc2822
            }
            _ => format.clone(),
        });
        let start = start_of(mark, &format, &mut wrongs);
        let lag = lag_of(mark, &format, &mut wrongs);
        if !wrongs.is_empty() {
            return Err(wrongs);
        }
        let own = place.as_ref().and_then(Place::template);
        Ok(Some(Self {
            param: mark.param.clone(),
            format,
            sent_as,
            lag,
            start,
            is_embedded: own.into_iter().chain(&holders).any(|text| text != PLAIN),
        }))
    }

    /// The value of the placeholder `{mark}`.
    pub(super) fn filler(&self, mark: &Mark) -> Result<Filler, String> {
        let text = self.sent_as.write(mark);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || PLAIN_MARKS.contains(c);
        if matches!(mark, Mark::Text(_)) && self.is_embedded && !text.chars().all(is_plain) {
            return Err(format!(
                "the mark {text:?} must not stand within other text, such as quotes: there it may hold only \
                 letters, digits and {PLAIN_MARKS}"
            ));
        }
        let is_number = match mark {
            Mark::Serial(_) => true,
            Mark::Time(_) => matches!(self.sent_as, MarkFormat::Epoch(_)),
            Mark::Text(_) => false,
        };
        Ok(if is_number {
            Filler::Number(text)
        } else {
            Filler::Text(text)
        })
    }
}

/// The request with the mark where `watermark.into` wants it.
pub(super) fn with_mark(request: &Request, mark: &definition::Watermark) -> Request {
    placed(request, mark.into.as_deref(), PLAIN)
}

/// The request with a placeholder at a place.
pub(super) fn placed(request: &Request, into: Option<&str>, placeholder: &str) -> Request {
    let mut request = request.clone();
    let place = into.map(|into| Place::parse(into, placeholder));
    match place {
        Some(Ok(Place::Query(name, template))) => {
            request.query.insert(name, Secret::new(&template));
        }
        Some(Ok(Place::Header(name, template))) => {
            request.headers.insert(name, Secret::new(&template));
        }
        Some(Ok(Place::Body(pointer, template))) => {
            if let Some(body) = request.body.with(&pointer, &template) {
                request.body = body;
            }
        }
        Some(Ok(Place::Path) | Err(_)) | None => {}
    }
    request
}

/// The texts of a request in which `{mark}` stands, other than those that a URL encodes.
fn holders(request: &Request) -> Vec<String> {
    let fields = request.query.values().chain(request.headers.values());
    let mut texts: Vec<String> = fields.map(|value| value.expose().to_owned()).collect();
    match &request.body {
        Body::None => {}
        Body::Json(json) => add_strings(json.expose(), &mut texts),
        Body::Form(fields) => {
            texts.extend(fields.values().map(|value| value.expose().to_owned()));
        }
    }
    let in_url = request.url.split(['/', '?', '&']);
    texts.extend(in_url.map(|part| {
        part.split_once('=')
            .map_or(part, |(_, value)| value)
            .to_owned()
    }));
    texts.retain(|text| text.contains(PLAIN));
    texts
}

fn add_strings(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| add_strings(item, texts)),
        Value::Object(members) => members.values().for_each(|item| add_strings(item, texts)),
        _ => {}
    }
}

impl Place {
    /// Reads `query:NAME`, `query:NAME=TEMPLATE`, `header:…` and `body:/POINTER` likewise, or `path`.
    pub(super) fn parse(text: &str, placeholder: &str) -> Result<Self, String> {
        if text == "path" {
            return Ok(Self::Path);
        }
        let rule = "must be \"query:since\", \"query:q=updated > '{mark}'\", \
                    \"header:If-Modified-Since\", \"body:/filter/since\" or \"path\"";
        let (kind, rest) = text.split_once(':').ok_or(rule)?;
        let (name, template) = rest.split_once('=').unwrap_or((rest, placeholder));
        if name.is_empty() || !template.contains(placeholder) {
            return Err(format!(
                "{rule}; the name is not empty, and {placeholder} stands in what follows it"
            ));
        }
        let (name, template) = (name.to_owned(), template.to_owned());
        match kind {
            "query" => Ok(Self::Query(name, template)),
            "header" if HeaderName::from_bytes(name.as_bytes()).is_err() => {
                Err(format!("{name:?} is no name of a header"))
            }
            "header" if HeaderValue::from_str(&template).is_err() => {
                Err("no header can hold this text".to_owned())
            }
            "header" => Ok(Self::Header(name, template)),
            "body" if name.starts_with('/') => Ok(Self::Body(name, template)),
            _ => Err(rule.to_owned()),
        }
    }

    fn template(&self) -> Option<&String> {
        match self {
            Self::Query(_, template) | Self::Header(_, template) | Self::Body(_, template) => {
                Some(template)
            }
            Self::Path => None,
        }
    }

    /// Checks that the place exists in a request, and is free.
    fn check(&self, request: &Request, holders: &[String]) -> Result<(), String> {
        match self {
            Self::Path if !request.url.contains(PLAIN) => {
                Err("\"path\" needs {mark} in the path of the url".to_owned())
            }
            Self::Path => Ok(()),
            _ if !holders.is_empty() => Err(
                "watermark.into and {mark} in the request both say where the mark goes; remove one"
                    .to_owned(),
            ),
            _ => self.check_free(request),
        }
    }

    /// Checks that nothing is at the place in a request yet, and that something can be.
    pub(super) fn check_free(&self, request: &Request) -> Result<(), String> {
        match self {
            Self::Query(name, _) if request.query.contains_key(name) => {
                return Err(format!("{name:?} is set in query too; remove it there"));
            }
            Self::Header(name, _) => {
                let mut names = request.headers.keys();
                if names.any(|own| own.eq_ignore_ascii_case(name)) {
                    return Err(format!("{name:?} is set in headers too; remove it there"));
                }
            }
            Self::Body(pointer, template) if request.body.with(pointer, template).is_none() => {
                return Err(format!(
                    "there can be nothing at {pointer} of the body: it needs a body whose members on the way are \
                     objects, and nothing at that place yet"
                ));
            }
            Self::Path | Self::Query(..) | Self::Body(..) => {}
        }
        Ok(())
    }
}

/// The formats of records and of requests.
fn format_of(
    mark: &definition::Watermark,
    wrongs: &mut Vec<Wrong>,
) -> Option<(MarkFormat, Option<MarkFormat>)> {
    let zone = mark.zone.as_deref().map_or(Some(Tz::UTC), parse_zone);
    if zone.is_none() {
        let rule = "is no time zone such as \"UTC\" or \"Europe/Berlin\"";
        wrongs.push(wrong("zone", rule));
    }
    let zone = zone.unwrap_or(Tz::UTC);
    let mut parse = |key, text: &Option<String>| {
        let parsed = text.as_deref().map(|text| MarkFormat::parse(text, zone));
        let parsed = parsed.transpose();
        parsed.map_err(|rule| wrongs.push(wrong(key, rule))).ok()
    };
    let format = parse("format", &mark.format);
    let sent_as = parse("into_format", &mark.into_format);
    let format = format?.unwrap_or(MarkFormat::Undeclared);
    let sent_as = sent_as?;
    // RFC 3339 is what a time is if nothing is declared.
    let format = match (&format, &sent_as) {
        (MarkFormat::Undeclared, Some(_)) => MarkFormat::Rfc3339,
        _ => format,
    };
    if let Some(other) = &sent_as
        && !(format.is_time() && other.is_time())
    {
        let rule = "only a time can be sent in another format than records have";
        wrongs.push(wrong("into_format", rule));
    }
    let takes_zone = format.takes_zone() || sent_as.as_ref().is_some_and(MarkFormat::takes_zone);
    if mark.zone.is_some() && !takes_zone {
        let rule = "means nothing for this watermark.format: its times need no zone; remove it";
        wrongs.push(wrong("zone", rule));
    }
    Some((format, sent_as))
}

fn place_of(mark: &definition::Watermark, wrongs: &mut Vec<Wrong>) -> Option<Place> {
    let into = mark.into.as_deref()?;
    if mark.param.is_some() {
        let rule = "watermark.into and watermark.param are both set; remove one";
        wrongs.push(wrong("into", rule));
    }
    let place = Place::parse(into, PLAIN);
    place.map_err(|rule| wrongs.push(wrong("into", rule))).ok()
}

fn start_of(
    mark: &definition::Watermark,
    format: &MarkFormat,
    wrongs: &mut Vec<Wrong>,
) -> Option<Mark> {
    let text = mark.start.as_deref()?;
    if *format == MarkFormat::Undeclared
        && let Err(Ambiguous(number)) = format.read(text)
    {
        let rule = format!("{number} may be a time or a serial number; {ASK_FOR_FORMAT}");
        wrongs.push(wrong("start", rule));
        return None;
    }
    let start = format.read_given(text);
    if start.is_none() {
        let expected = match format {
            MarkFormat::Undeclared => {
                "a time such as \"2026-01-01T00:00:00Z\", or a whole number".to_owned()
            }
            _ => format.expected(),
        };
        wrongs.push(wrong("start", format!("must be {expected}")));
    }
    start
}

fn lag_of(mark: &definition::Watermark, format: &MarkFormat, wrongs: &mut Vec<Wrong>) -> Lag {
    let Some(lag) = &mark.lag else {
        return DEFAULT_LAG;
    };
    match format {
        MarkFormat::Text if !lag.time.is_zero() => {
            let rule = "text has no lag; remove it";
            wrongs.push(wrong("lag", rule));
        }
        MarkFormat::Serial if lag.has_unit => {
            let rule = "a lag of serial numbers is a number without a unit, such as 100";
            wrongs.push(wrong("lag", rule));
        }
        _ => {}
    }
    Lag {
        time: lag.time,
        count: lag.time.as_secs(),
    }
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
