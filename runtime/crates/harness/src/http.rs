//! What other hosts answer, as scenarios say, and what plugins asked of them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::Url;
use wasaga_domain::{
    http::{HttpError, HttpExchange, HttpReach, HttpRequest, HttpResponse},
    message::Header,
    ports::GuestHttp,
};

use crate::{
    content,
    scenario::{Asked, Exchange, Response, Unanswered},
};

/// Plays other hosts.
#[derive(Debug, Default)]
pub(crate) struct OtherHosts(Mutex<Play>);

#[derive(Debug, Default)]
struct Play {
    exchanges: Vec<Exchange>,
    used: Vec<bool>,
    /// By idempotency key, which exchange it got. Absent: each exchange is had once.
    answered: Option<BTreeMap<String, usize>>,
    changes: Vec<Value>,
    unexpected: Vec<String>,
}

/// What plugins asked for.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// Requests that no exchange is for, a sentence each.
    pub unexpected: Vec<String>,
    /// Exchanges that nobody asked for, a sentence each.
    pub unused: Vec<String>,
    /// Requests that may have changed something, each once: one that is repeated under its key changes nothing anew.
    pub changes: Vec<Value>,
}

impl OtherHosts {
    /// Each exchange is had once, in this order.
    pub(crate) fn play(&self, exchanges: &[Exchange]) {
        *self.playing() = Play::of(exchanges);
    }

    /// The same, by hosts that know the keys they have answered, and go on with the last exchange that fits.
    pub(crate) fn play_on(&self, exchanges: &[Exchange]) {
        *self.playing() = Play { answered: Some(BTreeMap::new()), ..Play::of(exchanges) };
    }

    /// What was asked since it plays.
    pub(crate) fn asked(&self) -> Asking {
        let play = std::mem::take(&mut *self.playing());
        let left = play.exchanges.iter().zip(&play.used).filter(|(_, used)| !**used);
        let unused = left.map(|(Exchange { request, .. }, _)| {
            format!("http: nobody asked for {} {}", request.method, request.url)
        });
        Asking { unused: unused.collect(), unexpected: play.unexpected, changes: play.changes }
    }

    fn playing(&self) -> MutexGuard<'_, Play> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Play {
    fn of(exchanges: &[Exchange]) -> Self {
        let used = vec![false; exchanges.len()];
        Self { exchanges: exchanges.to_vec(), used, ..Self::default() }
    }

    /// Which exchange answers this request.
    fn place(&self, request: &HttpRequest, key: Option<&str>) -> Option<usize> {
        let fits = |place: &usize| self.exchanges[*place].request.fits(request);
        let all = 0..self.exchanges.len();
        let known = self.answered.as_ref().and_then(|answered| answered.get(key?)).copied();
        let unused = || all.clone().filter(|place| !self.used[*place]).find(fits);
        let last = || self.answered.as_ref().and_then(|_| all.clone().rev().find(fits));
        known.filter(fits).or_else(unused).or_else(last)
    }

    fn answer(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let key = request.headers.iter().find(|header| header.name == "idempotency-key");
        let key = key.map(|key| String::from_utf8_lossy(&key.value).into_owned());
        let body = request.body.as_ref().map(|body| content::shown(body));
        let Some(place) = self.place(request, key.as_deref()) else {
            let body = body.map(|body| format!(" with {body}")).unwrap_or_default();
            let why = format!("http: unexpected: {} {}{body}", request.method, request.url);
            self.unexpected.push(why.clone());
            return Err(HttpError::Denied(why));
        };
        self.used[place] = true;
        let Exchange { response, error, .. } = &self.exchanges[place];
        if request.is_unsafe() && *error != Some(Unanswered::NotSent) {
            let (method, url) = (&request.method, request.url.as_str());
            let change = json!({ "method": method, "url": url, "key": key, "body": body });
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        let said = |what: &str| format!("{what}, the scenario says");
        match (error, response) {
            (Some(Unanswered::NotSent), _) => Err(HttpError::NotSent(said("not sent"))),
            (Some(Unanswered::MaybeSent), _) => Err(HttpError::MaybeSent(said("maybe sent"))),
            (Some(Unanswered::TooLarge), _) => Err(HttpError::TooLarge(request.most_bytes)),
            (None, response) => {
                let response = response.clone().unwrap_or_default();
                if let Some((answered, key)) = self.answered.as_mut().zip(key) {
                    answered.insert(key, place);
                }
                Ok(response.into())
            }
        }
    }
}

#[async_trait]
impl GuestHttp for OtherHosts {
    async fn send(&self, request: HttpRequest, _: &HttpReach) -> Result<HttpResponse, HttpError> {
        self.playing().answer(&request)
    }
}

impl Asked {
    fn fits(&self, request: &HttpRequest) -> bool {
        let has = |(name, value): (&String, &String)| {
            request.headers.iter().any(|header| {
                header.name.eq_ignore_ascii_case(name) && header.value == value.as_bytes()
            })
        };
        let body = || request.body.as_ref().map(|body| content::shown(body));
        self.method == request.method
            && Url::parse(&self.url).is_ok_and(|url| url == request.url)
            && self.headers.iter().all(has)
            && self.body.as_ref().is_none_or(|expected| body().as_ref() == Some(expected))
    }
}

impl From<Response> for HttpResponse {
    fn from(Response { status, headers, body }: Response) -> Self {
        let header = |(name, value): (String, String)| Header { name, value: value.into() };
        let body = body.map(|body| content::bytes(&body)).unwrap_or_default().into();
        Self { status, headers: headers.into_iter().map(header).collect(), body }
    }
}

/// As it was recorded, for whoever asks the same.
impl From<&HttpExchange> for Exchange {
    fn from(exchange: &HttpExchange) -> Self {
        let HttpExchange { method, url, body, answer } = exchange;
        let shown = |body: &[u8]| json!({ "base64": STANDARD.encode(body) });
        let header = |Header { name, value }: &Header| {
            (name.clone(), String::from_utf8_lossy(value).into_owned())
        };
        let response = answer.as_ref().ok().map(|answer| Response {
            status: answer.status,
            headers: answer.headers.iter().map(header).collect(),
            body: Some(shown(&answer.body)),
        });
        let error = answer.as_ref().err().map(|error| match error {
            HttpError::Denied(_) | HttpError::NotSent(_) => Unanswered::NotSent,
            HttpError::MaybeSent(_) => Unanswered::MaybeSent,
            HttpError::TooLarge(_) => Unanswered::TooLarge,
        });
        let (headers, body) = (BTreeMap::new(), body.as_ref().map(|body| content::shown(body)));
        let request = Asked { method: method.clone(), url: url.clone(), headers, body };
        Self { request, response, error }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exchanges(all: Value) -> Vec<Exchange> {
        serde_json::from_value(all).expect("exchanges")
    }

    fn post(key: &str, body: &'static str) -> HttpRequest {
        HttpRequest {
            method: "POST".into(),
            url: Url::parse("https://bank.example/charges").expect("a URL"),
            headers: vec![Header { name: "idempotency-key".into(), value: key.to_owned().into() }],
            body: Some(body.into()),
            within: Duration::from_secs(1),
            most_bytes: 9,
        }
    }

    fn charges() -> Vec<Exchange> {
        let url = "https://bank.example/charges";
        exchanges(json!([
            { "request": { "method": "POST", "url": url, "body": { "n": 1 } }, "error": "maybe-sent" },
            { "request": { "method": "POST", "url": url }, "response": { "status": 201, "body": { "id": 7 } } },
        ]))
    }

    #[test]
    fn an_exchange_is_had_once_in_order() {
        let hosts = OtherHosts::default();
        hosts.play(&charges());
        let ask = |body| hosts.playing().answer(&post("k", body));
        assert!(matches!(ask(r#"{"n":1}"#), Err(HttpError::MaybeSent(_))));
        assert_eq!(ask(r#"{"n":1}"#).expect("an answer").body, r#"{"id":7}"#);
        assert!(matches!(ask(r#"{"n":1}"#), Err(HttpError::Denied(_))));
        let asked = hosts.asked();
        let unexpected = r#"http: unexpected: POST https://bank.example/charges with {"n":1}"#;
        assert_eq!(asked.unexpected, [unexpected]);
        assert!(asked.unused.is_empty());

        hosts.play(&charges());
        let asked = hosts.asked();
        assert_eq!(asked.unused.len(), 2, "{asked:?}");
        assert_eq!(asked.unused[0], "http: nobody asked for POST https://bank.example/charges");
    }

    #[test]
    fn what_is_repeated_under_its_key_is_one_change() {
        let hosts = OtherHosts::default();
        hosts.play_on(&charges());
        let ask = |key, body| hosts.playing().answer(&post(key, body)).map(|answer| answer.status);
        assert!(ask("k", r#"{"n":1}"#).is_err());
        for _ in 0..3 {
            assert_eq!(ask("k", r#"{"n":1}"#), Ok(201));
        }
        assert_eq!(ask("other", r#"{"n":2}"#), Ok(201));
        let asked = hosts.asked();
        let keys: Vec<_> = asked.changes.iter().map(|change| change["key"].as_str()).collect();
        assert_eq!(keys, [Some("k"), Some("other")]);
        assert!(asked.unexpected.is_empty());
    }
}
