//! A request to one host, and the next one where its answer is a redirect.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use url::Url;
use wasaga_domain::{
    http::{HttpError, HttpRequest, HttpResponse, is_safe},
    message::Header,
};

use crate::exchange::Content;

/// What another origin may see of a request that is redirected there: no key, no account, no name of the guest's own.
const HARMLESS: [&str; 3] = ["accept", "accept-language", "user-agent"];

const AGENT: &str = concat!("wasaga/", env!("CARGO_PKG_VERSION"));

/// A request to one host.
pub(crate) struct Hop {
    method: String,
    pub url: Url,
    headers: Vec<Header>,
    body: Option<Bytes>,
}

/// What follows an answer.
pub(crate) enum Next {
    /// It is the answer.
    Answered,
    /// It redirects there.
    Hop(Box<Hop>),
    /// It redirects to where this request may not go.
    Refused(String),
}

impl Hop {
    /// The request as it is, and the bound of its answer.
    pub(crate) fn first(request: HttpRequest) -> (Self, usize) {
        let HttpRequest { method, url, headers, body, most_bytes, within: _ } = request;
        (Self { method, url, headers, body }, most_bytes)
    }

    /// Whether it asks to change something.
    pub(crate) fn is_unsafe(&self) -> bool {
        !is_safe(&self.method)
    }

    /// Where it goes, without what a log must not have.
    pub(crate) fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    pub(crate) fn not_granted(&self) -> String {
        format!("{} is not among the hosts that are granted", self.place())
    }

    /// As it is sent.
    pub(crate) fn request(&self) -> Result<Request<Content>, HttpError> {
        let denied = |error: http::Error| HttpError::Denied(format!("{}: {error}", self.place()));
        let url = &self.url;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|e| denied(e.into()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{query}", url.path()))
            .header(header::HOST, host);
        if !self.headers.iter().any(|own| own.name.eq_ignore_ascii_case("user-agent")) {
            request = request.header(header::USER_AGENT, AGENT);
        }
        for Header { name, value } in &self.headers {
            let value =
                HeaderValue::from_maybe_shared(value.clone()).map_err(|e| denied(e.into()))?;
            request = request.header(name.as_str(), value);
        }
        request.body(Content::new(self.body.clone().unwrap_or_default())).map_err(denied)
    }

    /// What follows this answer to it.
    pub(crate) fn after(&self, answer: &HttpResponse) -> Next {
        let Some(url) = self.location(answer) else { return Next::Answered };
        let place = url.origin().ascii_serialization();
        if !matches!(url.scheme(), "http" | "https")
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Next::Refused(format!(
                "{} redirects to what is no http or https URL without an account",
                self.place()
            ));
        }
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Next::Refused(format!(
                "{} redirects from https to http: {place}",
                self.place()
            ));
        }
        let keeps_method = matches!(answer.status, 307 | 308) || !self.is_unsafe();
        let same_origin = url.origin() == self.url.origin();
        if keeps_method && self.is_unsafe() && !same_origin {
            return Next::Refused(format!(
                "{} redirects a {} to another host, {place}, where its idempotency key is not to go: send it there",
                self.place(),
                self.method
            ));
        }
        let is_harmless =
            |header: &&Header| HARMLESS.iter().any(|known| header.name.eq_ignore_ascii_case(known));
        // What describes a body, or keys a change, goes with them.
        let of_change = |header: &&Header| {
            let name = header.name.to_ascii_lowercase();
            name.starts_with("content-") || name == "idempotency-key"
        };
        let headers = self.headers.iter().filter(|header| same_origin || is_harmless(header));
        let headers =
            headers.filter(|header| keeps_method || !of_change(header)).cloned().collect();
        let (method, body) = if keeps_method {
            (self.method.clone(), self.body.clone())
        } else {
            ("GET".to_owned(), None)
        };
        Next::Hop(Box::new(Self { method, url, headers, body }))
    }

    /// Where the answer redirects to.
    fn location(&self, answer: &HttpResponse) -> Option<Url> {
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = answer.headers.iter().find(|header| header.name == "location")?;
        let mut url = self.url.join(std::str::from_utf8(&location.value).ok()?).ok()?;
        url.set_fragment(None);
        Some(url)
    }
}
