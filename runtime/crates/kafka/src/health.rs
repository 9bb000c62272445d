//! Whether the broker can be reached, for `/readyz`; and librdkafka's own log, as tracing events.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rdkafka::{
    config::RDKafkaLogLevel, error::KafkaError, statistics::Statistics, types::RDKafkaErrorCode,
};

/// What is known of the broker.
#[derive(Clone, Debug, Default)]
pub struct BrokerState {
    /// Since when there is a connection; absent: there is none.
    pub connected_since: Option<Instant>,
    /// The last error; kept while there is no connection.
    pub last_error: Option<String>,
}

/// Shared by the clients that observe the broker and whoever asks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BrokerHealth(Arc<Mutex<BrokerState>>);

impl BrokerHealth {
    /// As it is now.
    pub fn state(&self) -> BrokerState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BrokerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failed(&self, error: &KafkaError, reason: &str) {
        let all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if all_down && self.lock().last_error.is_some() {
            // It follows upon the error that says why.
            return;
        }
        let text = if reason.is_empty() { error.to_string() } else { reason.to_owned() };
        if self.lock().last_error.replace(text.clone()).as_ref() != Some(&text) {
            tracing::warn!(error = %error, "kafka: {text}");
        }
    }

    pub(crate) fn observed(&self, statistics: &Statistics) {
        // Brokers without an id are bootstrap addresses, of which librdkafka closes what it does not need.
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        let mut state = self.lock();
        match (up, state.connected_since) {
            (true, None) => {
                state.connected_since = Some(Instant::now());
                state.last_error = None;
                tracing::info!("kafka: connected");
            }
            (false, Some(_)) => {
                state.connected_since = None;
                tracing::warn!("kafka: no broker is connected");
            }
            _ => {}
        }
    }
}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
