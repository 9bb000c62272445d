//! The import `http`: a guest's requests, to the hosts that it is granted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use sha2::{Digest as _, Sha256};
use url::Url;
use wasaga_domain::{
    attempt::Attempt,
    http::{HttpCall, HttpError, HttpExchange, HttpRequest, HttpResponse, is_safe},
    message::Header,
    ports::{CallKind, GuestHttp},
};

use crate::{
    access::Access,
    bindings::wasaga::plugin::{
        http::{Error, Host, Request, Response},
        types::HeaderResult,
    },
    limits::{Limits, told, told_bytes},
    secrets::Secrets,
    state::CallState,
};

/// Headers that the host sets, and such as are about the connection.
const HOSTS_OWN: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
];

/// What a plugin is told that is not granted HTTP at all.
pub(crate) fn denial(access: &Access) -> Error {
    Error::Denied(access.denial("HTTP", "http_hosts = [\"…\"]", "http_hosts"))
}

/// A call's use of the network.
pub(crate) struct Requests {
    client: Arc<dyn GuestHttp>,
    key: String,
    traceparent: Option<Arc<str>>,
    until: Instant,
    sent: u32,
    /// Those with an idempotency key.
    keyed: u32,
    /// Whether any of them may have changed something.
    pub reached_out: bool,
    /// What became of them, where that is recorded.
    exchanges: Option<Vec<HttpExchange>>,
}

impl Requests {
    /// None yet; `key` is the idempotency key of the first one that asks for a change.
    pub(crate) fn new(
        client: Arc<dyn GuestHttp>,
        key: String,
        traceparent: Option<Arc<str>>,
        until: Instant,
        recorded: bool,
    ) -> Self {
        let (sent, keyed, exchanges) = (0, 0, recorded.then(Vec::new));
        Self { client, key, traceparent, until, sent, keyed, reached_out: false, exchanges }
    }

    /// What became of them since it was taken last.
    pub(crate) fn take_exchanges(&mut self) -> Vec<HttpExchange> {
        self.exchanges.as_mut().map(std::mem::take).unwrap_or_default()
    }

    async fn send(
        &mut self,
        request: HttpRequest,
        access: &Access,
    ) -> Result<HttpResponse, HttpError> {
        let asked = self.exchanges.is_some().then(|| request.clone());
        let answer = self.client.send(request, &access.http).await;
        if let (Some(exchanges), Some(asked)) = (&mut self.exchanges, asked)
            && !matches!(answer, Err(HttpError::Denied(_)))
        {
            exchanges.push(exchange(asked, &answer, &access.secrets));
        }
        answer
    }

    /// The request as it goes out, or a sentence about why it does not.
    fn prepared(
        &mut self,
        request: Request,
        access: &Access,
        limits: &Limits,
    ) -> Result<HttpRequest, String> {
        let Request { method, url, headers, body, timeout_ms } = request;
        let method = method.to_ascii_uppercase();
        if Method::from_bytes(method.as_bytes()).is_err() || matches!(&*method, "CONNECT" | "TRACE")
        {
            return Err(format!(
                "method {method:?}: a plugin sends GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE"
            ));
        }
        let url = target(&url)?;
        if !access.http.covers(&url) {
            let host = host_of(&url);
            let line = format!("http_hosts = [\"{host}\"]");
            return Err(access.denial(&format!("HTTP to {host}"), &line, "http_hosts"));
        }
        let mut bytes = body.as_ref().map_or(0, Vec::len);
        bytes += headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
        if bytes > limits.http_request_bytes {
            let limit = told_bytes(limits.http_request_bytes, "http_request_bytes");
            return Err(format!("the request has {bytes} bytes: {limit}"));
        }
        if headers.len() > limits.http_headers {
            let limit = told(limits.http_headers, "http_headers");
            return Err(format!("the request has {} headers: {limit}", headers.len()));
        }
        if self.sent == limits.http_requests {
            let limit = told(limits.http_requests, "http_requests");
            return Err(format!("too many requests of one call: {limit}"));
        }
        let mut headers = headers.into_iter().map(header).collect::<Result<Vec<_>, _>>()?;
        self.sent += 1;
        if !is_safe(&method) {
            self.keyed += 1;
            let key = match self.keyed {
                1 => self.key.clone(),
                number => format!("{}/{number}", self.key),
            };
            headers.push(Header { name: "idempotency-key".into(), value: key.into() });
        }
        if let Some(parent) = &self.traceparent {
            let value = parent.as_bytes().to_vec().into();
            headers.push(Header { name: "traceparent".into(), value });
        }
        let left = self.until.saturating_duration_since(Instant::now());
        let within = timeout_ms.map_or(left, |ms| left.min(Duration::from_millis(ms)));
        let (body, most_bytes) = (body.map(Into::into), limits.http_response_bytes);
        Ok(HttpRequest { method, url, headers, body, within, most_bytes })
    }
}

impl Host for CallState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.called()?;
        Ok(self.sent(request).await)
    }
}

impl CallState {
    async fn sent(&mut self, request: Request) -> Result<Response, Error> {
        let (access, limits) = (self.access.clone(), self.limits.clone());
        let Some(requests) = self.requests.as_mut().filter(|_| access.http()) else {
            return Err(denial(&access));
        };
        let request = requests.prepared(request, &access, &limits).map_err(Error::Denied)?;
        let (method, place) = (request.method.clone(), host_of(&request.url));
        // It counts before it is known what becomes of it: the call may end meanwhile.
        let (before, changes) = (requests.reached_out, request.is_unsafe());
        requests.reached_out |= changes;
        let begun = Instant::now();
        let ended = requests.send(request, &access).await;
        if matches!(ended, Err(HttpError::Denied(_) | HttpError::NotSent(_))) {
            requests.reached_out = before;
        }
        let (outcome, status) = outcome(&ended);
        let plugin = access.name().to_owned();
        tracing::debug!(plugin, method, host = place, outcome, status, took = ?begun.elapsed(), "a plugin's request");
        metrics::counter!("wasaga_guest_http_requests_total", "plugin" => plugin, "outcome" => outcome)
            .increment(1);
        ended.map(Response::from).map_err(Error::from)
    }
}

/// What is kept of a request, without the plugin's secrets.
fn exchange(
    asked: HttpRequest,
    answer: &Result<HttpResponse, HttpError>,
    secrets: &Secrets,
) -> HttpExchange {
    let blotted = |bytes: Bytes| match String::from_utf8(bytes.into()) {
        Ok(text) => secrets.redacted(text).into(),
        Err(binary) => binary.into_bytes().into(),
    };
    let answer = match answer.clone() {
        Ok(HttpResponse { status, mut headers, body }) => {
            headers.retain(|header| !header.name.eq_ignore_ascii_case("set-cookie"));
            let header = |Header { name, value }: Header| Header { name, value: blotted(value) };
            let headers = headers.into_iter().map(header).collect();
            Ok(HttpResponse { status, headers, body: blotted(body) })
        }
        Err(HttpError::NotSent(why)) => Err(HttpError::NotSent(secrets.redacted(why))),
        Err(HttpError::MaybeSent(why)) => Err(HttpError::MaybeSent(secrets.redacted(why))),
        Err(other) => Err(other),
    };
    let HttpRequest { method, url, body, .. } = asked;
    HttpExchange { method, url: secrets.redacted(url.into()), body: body.map(blotted), answer }
}

/// How a request ended, for the log and the metrics.
fn outcome(ended: &Result<HttpResponse, HttpError>) -> (&'static str, Option<u16>) {
    match ended {
        Ok(answer) => ("answered", Some(answer.status)),
        Err(HttpError::Denied(_)) => ("denied", None),
        Err(HttpError::NotSent(_)) => ("not-sent", None),
        Err(HttpError::MaybeSent(_)) => ("maybe-sent", None),
        Err(HttpError::TooLarge(_)) => ("too-large", None),
    }
}

/// The call by which its requests are recorded.
pub fn http_call(attempt: &Attempt, kind: &CallKind) -> HttpCall {
    let key = key(&attempt.idempotency_key, kind);
    HttpCall { saga: attempt.saga_id, key, attempt: attempt.number }
}

/// The idempotency key of a call's requests. One that goes on after a wait is another call than the one that began to wait, and
/// the attempt's key is the same: it adds what it goes on with, which is the same whenever it is called again.
pub(crate) fn key(of_attempt: &str, kind: &CallKind) -> String {
    let CallKind::Resume { memo, arrival, .. } = kind else { return of_attempt.to_owned() };
    let mut hash = Sha256::new();
    let memo = memo.as_ref().map_or(&[][..], |memo| &memo.data);
    hash.update((memo.len() as u64).to_le_bytes());
    hash.update(memo);
    hash.update(serde_json::to_vec(arrival).unwrap_or_default());
    format!("{of_attempt}/{}", hex::encode(&hash.finalize()[..8]))
}

fn target(text: &str) -> Result<Url, String> {
    let mut url =
        Url::parse(text).map_err(|error| format!("url: {error}: write https://HOST/PATH"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url: scheme {}: there are http and https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: it holds an account: send it as the header authorization".into());
    }
    url.set_fragment(None);
    Ok(url)
}

/// The host as a grant names it.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn header(HeaderResult { name, value }: HeaderResult) -> Result<Header, String> {
    let name = name.to_ascii_lowercase();
    if HOSTS_OWN.contains(&&*name) {
        return Err(format!("header {name}: the host sets it, or none is sent: leave it out"));
    }
    if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_bytes(&value).is_err()
    {
        return Err(format!(
            "header {name:?} is none that HTTP knows: a token, and a value on one line"
        ));
    }
    Ok(Header { name, value: value.into() })
}

impl From<HttpResponse> for Response {
    fn from(HttpResponse { status, headers, body }: HttpResponse) -> Self {
        let header = |Header { name, value }: Header| HeaderResult { name, value: value.to_vec() };
        Self { status, headers: headers.into_iter().map(header).collect(), body: body.to_vec() }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(why) => Self::Denied(why),
            HttpError::NotSent(why) => Self::NotSent(why),
            HttpError::MaybeSent(why) => Self::MaybeSent(why),
            HttpError::TooLarge(bytes) => Self::TooLarge(bytes as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use wasaga_domain::{outcome::Arrival, payload::Payload};

    use super::*;
    use crate::secrets::SecretSource;

    #[test]
    fn what_is_recorded_holds_no_secret() {
        let source = SecretSource::Given("tell-nobody".into());
        let key = "token".to_owned();
        let secrets = Secrets::load([(&key, &source)].into_iter()).expect("a secret");
        let asked = HttpRequest {
            method: "POST".into(),
            url: Url::parse("https://example.com/?token=tell-nobody").expect("a URL"),
            headers: Vec::new(),
            body: Some("my tell-nobody".into()),
            within: Duration::ZERO,
            most_bytes: 1,
        };
        let header =
            |name: &str, value: &'static str| Header { name: name.into(), value: value.into() };
        let headers = vec![header("Set-Cookie", "id=1"), header("x-echo", "tell-nobody")];
        let answer = HttpResponse { status: 200, headers, body: "yours: tell-nobody".into() };
        let kept = exchange(asked.clone(), &Ok(answer), &secrets);
        assert!(!format!("{kept:?}").contains("tell-nobody"), "{kept:?}");
        let answer = kept.answer.expect("an answer");
        assert_eq!(answer.headers, [header("x-echo", "***")]);
        assert_eq!(answer.body, "yours: ***");
        let lost = exchange(asked, &Err(HttpError::MaybeSent("to tell-nobody".into())), &secrets);
        assert_eq!(lost.answer, Err(HttpError::MaybeSent("to ***".into())));
    }

    #[test]
    fn a_key_is_that_of_what_the_call_goes_on_with() {
        let resume = |memo: &str, arrival| {
            let memo = Some(Payload::json(memo.to_owned()));
            key("k", &CallKind::Resume { memo, undo: None, arrival })
        };
        let signal =
            |name: &str| Arrival::Signal { name: name.into(), payload: Payload::json("1") };
        assert_eq!(key("k", &CallKind::Execute { guarded: false }), "k");
        assert_eq!(key("k/undo", &CallKind::Compensate { undo: None }), "k/undo");
        let first = resume("1", Arrival::TimedOut);
        assert_eq!(first, resume("1", Arrival::TimedOut));
        let others =
            [resume("2", Arrival::TimedOut), resume("1", signal("a")), resume("1", signal("b"))];
        for other in others {
            assert!(other.starts_with("k/") && other != first, "{other}");
        }
    }

    #[test]
    fn what_is_no_request_is_denied() {
        for (url, told) in [
            ("nowhere", "url: "),
            ("file:///etc/passwd", "scheme file"),
            ("https://a:b@example.com/", "holds an account"),
            ("https://a@example.com/", "holds an account"),
        ] {
            let why = target(url).expect_err("it is denied");
            assert!(why.contains(told), "{url}: {why}");
        }
        assert_eq!(
            target("https://example.com/a#b").expect("a URL").as_str(),
            "https://example.com/a"
        );
        let refused = |name: &str, value: &[u8]| {
            header(HeaderResult { name: name.into(), value: value.into() })
                .expect_err("it is denied")
        };
        for own in HOSTS_OWN {
            assert!(refused(&own.to_uppercase(), b"x").contains("the host sets it"), "{own}");
        }
        assert!(refused("a b", b"x").contains("none that HTTP knows"));
        assert!(refused("a", b"x\r\nhost: y").contains("none that HTTP knows"));
    }
}
