//! The requests of a poll: method, URL, headers and body, made from templates for each page. Pure.

use std::fmt;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::definition::{Body, Request, Verb};
use super::template::{JsonTemplate, Template, UrlTemplate, Values};

/// One request for a page.
#[derive(Clone)]
pub struct PageRequest {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// Configured headers, and the type of the body; they are sent to the origin of the configured
    /// URL only.
    pub headers: HeaderMap,
    /// The body, which is sent to the same origin only.
    pub body: Option<Bytes>,
}

impl fmt::Debug for PageRequest {
    /// Leaves out the parameters and the body, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.path())
    }
}

/// Makes the requests of one poll.
#[derive(Debug)]
pub struct Requests {
    method: Method,
    url: UrlTemplate,
    query: Vec<(String, Template)>,
    headers: Vec<(HeaderName, Template)>,
    body: BodyTemplate,
}

#[derive(Debug)]
enum BodyTemplate {
    None,
    Json(JsonTemplate),
    Form(Vec<(String, Template)>),
}

impl Requests {
    /// Reads the templates of a poll.
    pub fn new(request: &Request) -> Result<Self, &'static str> {
        let query = request.query.iter();
        let query = query.map(|(name, value)| (name.clone(), Template::parse(value.expose())));
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| "headers cannot be used")?;
            headers.push((name, Template::parse(value.expose())));
        }
        Ok(Self {
            method: match request.method {
                Verb::Get => Method::GET,
                Verb::Post => Method::POST,
                Verb::Put => Method::PUT,
            },
            url: UrlTemplate::parse(&request.url)?,
            query: query.collect(),
            headers,
            body: BodyTemplate::new(&request.body),
        })
    }

    /// A URL of the same origin as that of every request that is not a followed link.
    pub fn home(&self) -> Result<Url, String> {
        self.url.example()
    }

    /// Whether a placeholder of this name stands anywhere in a request.
    pub fn uses(&self, name: &str) -> bool {
        let fields = self.query.iter().map(|(_, value)| value);
        let fields = fields.chain(self.headers.iter().map(|(_, value)| value));
        self.url.names().any(|own| own == name)
            || fields.flat_map(Template::names).any(|own| own == name)
            || self.body.names().contains(&name)
    }

    /// The request with these values, and with `parameters` of pages after the configured ones.
    pub fn page(
        &self,
        values: &Values,
        parameters: &[(String, String)],
    ) -> Result<PageRequest, String> {
        let mut url = self.url.fill(values)?;
        self.add_query(&mut url, values);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        self.followed(url, values)
    }

    /// The request for a link that a page named, which is followed with the same method and body.
    pub fn followed(&self, url: Url, values: &Values) -> Result<PageRequest, String> {
        let mut headers = HeaderMap::new();
        let body = self.body.fill(values);
        let kind = match &self.body {
            BodyTemplate::None => None,
            BodyTemplate::Json(_) => Some("application/json"),
            BodyTemplate::Form(_) => Some("application/x-www-form-urlencoded"),
        };
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in &self.headers {
            let value = value.header(values);
            if let Some(value) = value.map_err(|why| format!("the header {name}: {why}"))? {
                headers.insert(name.clone(), value);
            }
        }
        Ok(PageRequest {
            method: self.method.clone(),
            url,
            headers,
            body,
        })
    }

    /// Adds the configured parameters that a URL does not have and that have a value.
    fn add_query(&self, url: &mut Url, values: &Values) {
        self.add_some(url, |_| true, values);
    }

    /// Adds those of the configured parameters to a link that are repeated. Other than that, links are
    /// followed as the API wrote them.
    pub fn repeat_query(&self, url: &mut Url, names: &[String], values: &Values) {
        self.add_some(url, |name| names.iter().any(|own| own == name), values);
    }

    fn add_some(&self, url: &mut Url, is_added: impl Fn(&str) -> bool, values: &Values) {
        for (name, value) in self.query.iter().filter(|(name, _)| is_added(name)) {
            if let Some(value) = value.fill(values)
                && !url.query_pairs().any(|(own, _)| own == *name)
            {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
    }
}

impl BodyTemplate {
    fn new(body: &Body) -> Self {
        match body {
            Body::None => Self::None,
            Body::Json(json) => Self::Json(JsonTemplate::parse(json.expose())),
            Body::Form(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.map(|(name, value)| (name.clone(), Template::parse(value.expose())));
                Self::Form(fields.collect())
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::Json(json) => json.names(),
            Self::Form(fields) => fields.iter().flat_map(|(_, value)| value.names()).collect(),
        }
    }

    fn fill(&self, values: &Values) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Json(json) => Some(json.fill(values).into()),
            Self::Form(fields) => {
                let fields = fields.iter();
                let pairs = fields.filter_map(|(name, value)| Some((name, value.fill(values)?)));
                Some(form(pairs).into())
            }
        }
    }
}

/// Puts parameters into a URL, in place of those of the same name.
pub(super) fn replace_query(url: &mut Url, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        return;
    }
    let is_kept = |name: &str| parameters.iter().all(|(own, _)| own != name);
    let kept = url.query_pairs().into_owned();
    let kept: Vec<(String, String)> = kept.filter(|(name, _)| is_kept(name)).collect();
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(kept).extend_pairs(parameters);
}

/// Encodes pairs as a form.
pub(super) fn form<N: AsRef<str>, V: AsRef<str>>(pairs: impl Iterator<Item = (N, V)>) -> String {
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return String::new();
    };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Hash of all that a request asks for: another header may mean another tenant, and another body
/// another question.
pub(super) fn hash_of(request: &Request) -> u64 {
    let pairs = request.query.iter().chain(&request.headers);
    let pairs: Vec<_> = pairs.map(|(name, value)| (name, value.expose())).collect();
    let body = match &request.body {
        Body::None => String::new(),
        Body::Json(json) => json.expose().to_string(),
        Body::Form(fields) => {
            let fields = fields.iter();
            form(fields.map(|(name, value)| (name, value.expose())))
        }
    };
    let asked = (&request.url, request.method, pairs, body);
    xxh3_64(format!("{asked:?}").as_bytes())
}

/// Hash of what decides which records there are: not of headers, which may hold credentials, and not of
/// where in the request the parameters stand.
pub(super) fn scope_of(request: &Request) -> u64 {
    let (url, in_url) = request.url.split_once('?').unwrap_or((&request.url, ""));
    let mut parameters = form(
        request
            .query
            .iter()
            .map(|(name, value)| (name, value.expose())),
    );
    parameters = [in_url, &parameters].join("&");
    let mut parameters: Vec<&str> = parameters
        .split('&')
        .filter(|pair| !pair.is_empty())
        .collect();
    parameters.sort_unstable();
    let body = match &request.body {
        Body::None => String::new(),
        Body::Json(json) => json.expose().to_string(),
        Body::Form(fields) => {
            let fields = fields.iter();
            form(fields.map(|(name, value)| (name, value.expose())))
        }
    };
    let scope = (url, request.method, parameters, body);
    xxh3_64(format!("{scope:?}").as_bytes())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
