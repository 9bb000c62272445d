//! A host's HTTP interface.

use std::{sync::PoisonError, time::Duration};

use futures::{StreamExt, stream};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{Order, PATIENCE, eventually, world::Accepted};

/// How many requests are sent at once.
const AT_ONCE: usize = 32;

/// A host's HTTP interface.
#[derive(Clone)]
pub struct Api {
    base: String,
    client: Client,
    accepted: Accepted,
}

/// What a host answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, where it is JSON; else null.
    pub body: Value,
    /// The body.
    pub text: String,
}

impl Api {
    pub(crate) fn new(base: String, accepted: Accepted) -> Self {
        // A frozen host takes connections and answers nothing.
        let client = Client::builder().timeout(Duration::from_secs(10)).build();
        Self { base, client: client.expect("a client needs nothing"), accepted }
    }

    /// GET; nothing where there is no answer.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        answer(self.client.get(self.url(path)).send().await).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// PATCH of JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let sent = self.client.patch(self.url(path)).json(body).send().await;
        answer(sent).await.unwrap_or_else(|| panic!("no answer to PATCH {path}"))
    }

    /// POST of whatever it is, with this content type.
    pub async fn post_text(&self, path: &str, kind: &str, body: &str) -> Answer {
        let request = self.client.post(self.url(path)).header("content-type", kind);
        let sent = request.body(body.to_owned()).send().await;
        answer(sent).await.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// Pushes a component, with this header `minisig` where there is one.
    pub async fn push(&self, component: &[u8], minisig: Option<&str>) -> Answer {
        let request = self.client.post(self.url("/api/v1/plugins")).body(component.to_owned());
        let request = minisig.into_iter().fold(request, |r, value| r.header("minisig", value));
        answer(request.send().await).await.expect("a push is answered")
    }

    /// POST of JSON; nothing where there is no answer. A saga that is accepted by it is remembered: no promise about it
    /// may be broken.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        let answer = answer(self.client.post(self.url(path)).json(body).send().await).await?;
        if let (200 | 202, Some(saga)) = (answer.status, answer.body["saga_id"].as_str()) {
            let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            accepted.push(saga.to_owned());
        }
        Some(answer)
    }

    /// Starts a saga, which must be accepted; its id.
    pub async fn start(&self, definition: &str, key: &str, input: &Value) -> String {
        let body = json!({"definition": definition, "business_key": key, "input": input});
        self.post("/api/v1/sagas", &body).await.saga()
    }

    /// Posts an order, which must be accepted; the saga's id.
    pub async fn order(&self, order: &Order) -> String {
        self.post("/api/v1/orders", &order.body()).await.saga()
    }

    /// Posts orders, many at once; how many were accepted.
    pub async fn orders(&self, orders: &[Order]) -> usize {
        let post = |order: Order| async move {
            let answer = self.try_post("/api/v1/orders", &order.body()).await;
            answer.is_some_and(|answer| answer.status == 202)
        };
        let posted = stream::iter(orders.to_vec()).map(post).buffer_unordered(AT_ONCE);
        posted.filter(|accepted| std::future::ready(*accepted)).count().await
    }

    /// Starts a saga of the plugin `probe`, which does what the script says; the saga's id.
    pub async fn probe(&self, script: &Value) -> String {
        let body = json!({"definition": "probe", "input": script});
        self.post("/api/v1/sagas", &body).await.saga()
    }

    /// Starts many of them at once; the ids, in the order of the scripts.
    pub async fn probes(&self, scripts: &[Value]) -> Vec<String> {
        let started =
            stream::iter(scripts.to_vec()).map(|script| async move { self.probe(&script).await });
        started.buffered(AT_ONCE).collect().await
    }

    /// A saga as it stands.
    pub async fn saga(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/sagas/{id}")).await.ok()
    }

    /// The items of a saga's history.
    pub async fn history(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/sagas/{id}/history")).await.ok();
        answer["history"].as_array().cloned().expect("a history is a list")
    }

    /// Asks a saga to turn back.
    pub async fn cancel(&self, id: &str) -> Answer {
        self.ask(id, "cancel").await
    }

    /// Asks a saga to go on.
    pub async fn resume(&self, id: &str) -> Answer {
        self.ask(id, "resume").await
    }

    /// Asks something of a saga: a verb, or `steps/STEP/VERB`.
    pub async fn ask(&self, id: &str, verb: &str) -> Answer {
        self.post(&format!("/api/v1/sagas/{id}/{verb}"), &json!({"reason": "the test"})).await
    }

    /// Sends a saga a signal.
    pub async fn signal(&self, id: &str, name: &str, carries: &Value) -> Answer {
        self.post(&format!("/api/v1/sagas/{id}/signals/{name}"), carries).await
    }

    /// Waits until a saga has this status; the saga.
    pub async fn reaches(&self, id: &str, status: &str) -> Value {
        eventually(format!("saga {id} is {status}"), PATIENCE, async || {
            let answer = self.try_get(&format!("/api/v1/sagas/{id}")).await?;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }

    /// Waits until a saga is in this step and waits there.
    pub async fn waits_in(&self, id: &str, step: &str) -> Value {
        eventually(format!("saga {id} waits in {step}"), PATIENCE, async || {
            let saga = self.saga(id).await;
            (saga["status"] == "waiting" && saga["current_step"] == step).then_some(saga)
        })
        .await
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text;
        let sample = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let own = rest.starts_with('{') || rest.starts_with(' ');
            own.then(|| line.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        };
        text.lines().filter_map(sample).sum()
    }

    /// The active plugin of this name.
    pub async fn plugin(&self, name: &str) -> Option<Value> {
        let plugins = self.get("/api/v1/plugins").await.ok();
        let named = |plugin: &&Value| plugin["name"] == name;
        plugins["plugins"].as_array()?.iter().find(named).cloned()
    }

    /// Waits until a module from a file of this name is rejected; the reason.
    pub async fn rejects(&self, file: &str) -> String {
        eventually(format!("{file} is rejected"), PATIENCE, async || {
            let plugins = self.get("/api/v1/plugins").await.ok();
            let of_file = |rejected: &&Value| {
                rejected["source"].as_str().is_some_and(|source| source.ends_with(file))
            };
            let rejected = plugins["rejections"].as_array()?.iter().find(of_file)?;
            rejected["reason"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Where this path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Answer {
    /// The body of an answer that must be 200.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// The id of the saga that was accepted, as it must be.
    pub fn saga(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.text);
        self.body["saga_id"].as_str().expect("an accepted saga has an id").to_owned()
    }
}

async fn answer(sent: reqwest::Result<reqwest::Response>) -> Option<Answer> {
    let response = sent.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Answer { status, body, text })
}
