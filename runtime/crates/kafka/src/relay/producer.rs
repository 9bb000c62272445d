//! The idempotent producer, and the reports of what became of its records.

use std::error::Error;

use rdkafka::{
    ClientConfig, ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer},
    statistics::Statistics,
    types::RDKafkaErrorCode,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wasaga_store::{headers, task_out::TaskOut};

use super::verdict::Failure;
use crate::{
    health::{self, BrokerHealth},
    oauth::{self, Tokens},
};

/// The end of a record: its row, and what went wrong.
pub(super) type Report = (i64, Option<Failure>);

/// What became of a record that was handed over.
pub(super) enum Sent {
    /// A report will come.
    Yes,
    /// The queue is full: the same again in a moment.
    Full,
    /// It can't be sent.
    No(Failure),
}

struct Context {
    reports: UnboundedSender<Report>,
    health: BrokerHealth,
    tokens: Option<Tokens>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        health::log(level, facility, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.failed(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(self.tokens.as_ref())
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        let error = result.as_ref().err().map(|(error, _)| Failure::from(error));
        // Nobody listens to a producer that was replaced.
        let _ = self.reports.send((id as i64, error));
    }
}

pub(super) struct Producer {
    producer: Option<ThreadedProducer<Context>>,
    reports: UnboundedReceiver<Report>,
}

impl Producer {
    pub(super) fn new(
        config: &ClientConfig,
        tokens: Option<&Tokens>,
        health: &BrokerHealth,
    ) -> Result<Self, KafkaError> {
        let (sender, reports) = unbounded_channel();
        let context = Context { reports: sender, health: health.clone(), tokens: tokens.cloned() };
        Ok(Self { producer: Some(config.create_with_context(context)?), reports })
    }

    pub(super) fn send(&self, row: &TaskOut) -> Sent {
        let Some(producer) = &self.producer else {
            return Sent::Full;
        };
        let headers = match headers_of(row) {
            Ok(headers) => headers,
            Err(reason) => return Sent::No(Failure::of_row(&format!("headers: {reason}"))),
        };
        let mut record =
            BaseRecord::<[u8], [u8], usize>::with_opaque_to(&row.topic, row.id as usize)
                .headers(headers);
        record.key = row.key.as_deref();
        record.payload = row.value.as_deref();
        match producer.send(record) {
            Ok(()) => Sent::Yes,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Sent::Full,
            Err((error, _)) => Sent::No(Failure::from(&error)),
        }
    }

    /// Waits for reports and appends them.
    pub(super) async fn reports(&mut self, into: &mut Vec<Report>) {
        self.reports.recv_many(into, 4096).await;
    }
}

impl Drop for Producer {
    /// Whatever was not sent yet never will be.
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
            // Joins a thread and closes connections.
            std::thread::spawn(move || drop(producer));
        }
    }
}

/// The row's own headers, then what every record carries.
pub(super) fn headers_of(row: &TaskOut) -> Result<OwnedHeaders, String> {
    let own = headers::from_json(&row.headers)?;
    let has = |name: &str| own.iter().any(|header| header.name == name);
    let message_id = row.message_id.to_string();
    let added = [
        ("message-id", Some(&message_id)),
        ("idempotency-key", row.idempotency_key.as_ref().filter(|_| !has("idempotency-key"))),
        ("traceparent", row.traceparent.as_ref().filter(|_| !has("traceparent"))),
    ];
    let headers = own.iter().fold(OwnedHeaders::new_with_capacity(own.len() + 3), |all, header| {
        all.insert(Header { key: &header.name, value: Some(&header.value[..]) })
    });
    let added = added.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
    Ok(added.fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(value) })))
}
