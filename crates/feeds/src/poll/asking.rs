//! How an appending run asks for what is new: where its mark goes in a request, and in which form.
//! Pure.

use chrono_tz::Tz;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;

use super::definition;
use super::schedule::parse_zone;
use crate::mark_format::{ASK_FOR_FORMAT, Ambiguous, MarkFormat};
use crate::watermark::{Lag, Mark};

/// The lag of times, and of serial numbers, unless another one is configured.
const DEFAULT_LAG: Lag = Lag {
    time: std::time::Duration::from_secs(60),
    count: 60,
};
/// What a mark that is text may hold where other text stands around it.
const PLAIN_MARKS: &str = "-_.:+/=@,";

/// How an appending run asks for what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskFrom {
    /// Where the mark goes.
    pub place: Place,
    /// How records write it.
    pub format: MarkFormat,
    /// How requests write it.
    pub sent_as: MarkFormat,
    /// The next run asks from this much before the highest value seen.
    pub lag: Lag,
    /// The mark of the first run.
    pub start: Option<Mark>,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A parameter: its name, and its value as a template.
    Query(String, String),
    /// A header: its name, and its value as a template.
    Header(HeaderName, String),
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

/// What one pass over the pages asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Only what is new since this mark.
    pub since: Option<Mark>,
}

impl AskFrom {
    /// Reads the settings of a watermark; `None` if there is none.
    pub fn new(mark: &definition::Watermark) -> Result<Option<Self>, Vec<Wrong>> {
        let mut wrongs = Vec::new();
        let format = format_of(mark, &mut wrongs);
        let place = place_of(mark, &mut wrongs);
        if mark.is_empty() {
            return if wrongs.is_empty() {
                Ok(None)
            } else {
                Err(wrongs)
            };
        }
        if mark.field.is_none() || mark.param.is_none() && mark.into.is_none() {
            wrongs.push(wrong(
                "",
                "watermark.field says which field grows, and watermark.param or watermark.into where the \
                 request asks for what is new; set both",
            ));
        }
        let (Some((format, sent_as)), Some(place)) = (format, place) else {
            return Err(wrongs);
        };
        let sent_as = sent_as.unwrap_or_else(|| match &place {
            // This header has only one form.
            Place::Header(name, _) if name == "if-modified-since" && format.is_time() => {
                MarkFormat::Rfc2822
            }
            _ => format.clone(),
        });
        let start = start_of(mark, &format, &mut wrongs);
        if place == Place::Path && mark.start.is_none() {
            let rule = "the path needs a mark from the first run on; set watermark.start";
            wrongs.push(wrong("start", rule));
        }
        let lag = lag_of(mark, &format, &mut wrongs);
        if !wrongs.is_empty() {
            return Err(wrongs);
        }
        Ok(Some(Self {
            place,
            format,
            sent_as,
            lag,
            start,
        }))
    }

    /// The template with the mark in it.
    fn filled(&self, template: &str, mark: &Mark) -> Result<String, String> {
        let text = self.sent_as.write(mark);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || PLAIN_MARKS.contains(c);
        if matches!(mark, Mark::Text(_)) && template != "{mark}" && !text.chars().all(is_plain) {
            return Err(format!(
                "the mark {text:?} must not stand within other text (watermark.into): it may hold only \
                 letters, digits and {PLAIN_MARKS}"
            ));
        }
        Ok(template.replace("{mark}", &text))
    }

    /// Adds the mark to the parameters of a URL, if it goes there.
    pub(super) fn add_to_query(&self, url: &mut Url, mark: &Mark) -> Result<(), String> {
        if let Place::Query(name, template) = &self.place {
            let value = self.filled(template, mark)?;
            url.query_pairs_mut().append_pair(name, &value);
        }
        Ok(())
    }

    /// The header that holds the mark, if it goes there.
    pub(super) fn header(&self, mark: &Mark) -> Result<Option<(HeaderName, HeaderValue)>, String> {
        let Place::Header(name, template) = &self.place else {
            return Ok(None);
        };
        let value = self.filled(template, mark)?;
        let value = HeaderValue::from_str(&value)
            .map_err(|_| format!("no header can hold the mark {value:?}"))?;
        Ok(Some((name.clone(), value)))
    }

    /// The URL with the mark in it, if it goes there.
    pub(super) fn in_url(&self, url: &str, mark: &Mark) -> Result<String, String> {
        if self.place != Place::Path {
            return Ok(url.to_owned());
        }
        let text = self.sent_as.write(mark);
        Ok(url.replace("{mark}", &segment(&text)?))
    }
}

impl Place {
    /// Reads `query:NAME`, `query:NAME=TEMPLATE`, `header:…` likewise, or `path`.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "path" {
            return Ok(Self::Path);
        }
        let rule = "must be \"query:since\", \"query:q=updated > '{mark}'\", \
                    \"header:If-Modified-Since\" or \"path\"";
        let (kind, rest) = text.split_once(':').ok_or(rule)?;
        let (name, template) = rest.split_once('=').unwrap_or((rest, "{mark}"));
        if name.is_empty() || !template.contains("{mark}") {
            return Err(format!(
                "{rule}; the name is not empty, and {{mark}} stands in what follows it"
            ));
        }
        match kind {
            "query" => Ok(Self::Query(name.to_owned(), template.to_owned())),
            "header" => {
                let named = HeaderName::from_bytes(name.as_bytes());
                let name = named.map_err(|_| format!("{name:?} is no name of a header"))?;
                if HeaderValue::from_str(template).is_err() {
                    return Err("no header can hold this text".to_owned());
                }
                Ok(Self::Header(name, template.to_owned()))
            }
            _ => Err(rule.to_owned()),
        }
    }
}

/// Text as one segment of a path.
fn segment(text: &str) -> Result<String, String> {
    if matches!(text, "" | "." | "..") {
        return Err(format!("{text:?} cannot be a part of a path"));
    }
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
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
    match (&mark.into, &mark.param) {
        (Some(_), Some(_)) => {
            let rule = "watermark.into and watermark.param are both set; remove one";
            wrongs.push(wrong("into", rule));
            None
        }
        (Some(into), None) => {
            let place = Place::parse(into);
            place.map_err(|rule| wrongs.push(wrong("into", rule))).ok()
        }
        (None, Some(param)) => Some(Place::Query(param.clone(), "{mark}".to_owned())),
        (None, None) => None,
    }
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
