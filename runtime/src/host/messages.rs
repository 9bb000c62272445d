//! The outbox, as the API asks for it. Until the host has started it is not there, and says so.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::sync::Notify;
use wasaga_api::ports::{Messages, MessagesError};
use wasaga_domain::message_search::MessageFilter;
use wasaga_kafka::Publisher;
use wasaga_store::{
    Outbox as _, Store, StoreError,
    emit::{EmitError, NewMessage},
    outbox_find::{FoundMessages, WholeMessage},
    publish_first::{PublishError, Published},
};

/// What of the host has started.
pub(super) struct HostMessages {
    store: Store,
    started: OnceLock<Started>,
}

struct Started {
    /// Absent: Kafka is off, and messages wait in the outbox.
    publisher: Option<Publisher>,
    outbox: Arc<Notify>,
}

impl HostMessages {
    pub(super) fn new(store: Store) -> Self {
        Self { store, started: OnceLock::new() }
    }

    /// The relay works, and hears the bell `outbox`. Told once.
    pub(super) fn set_started(&self, publisher: Option<Publisher>, outbox: Arc<Notify>) {
        let _ = self.started.set(Started { publisher, outbox });
    }

    /// Waits for what is being published for callers that have gone.
    pub(super) async fn stop(&self) {
        if let Some(Started { publisher: Some(publisher), .. }) = self.started.get() {
            publisher.close().await;
        }
    }

    fn started(&self) -> Result<&Started, MessagesError> {
        let starting = || {
            MessagesError::Unavailable(
                "the host is starting: /readyz tells what it waits for".into(),
            )
        };
        self.started.get().ok_or_else(starting)
    }
}

#[async_trait]
impl Messages for HostMessages {
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, MessagesError> {
        let started = self.started()?;
        let ids = self.store.emit(messages).await.map_err(emit_failed)?;
        started.outbox.notify_one();
        Ok(ids)
    }

    async fn publish(&self, message: &NewMessage) -> Result<Published, MessagesError> {
        let Some(publisher) = &self.started()?.publisher else {
            let ids = self.emit(std::slice::from_ref(message)).await?;
            return Ok(Published::Stored { id: ids.first().copied().unwrap_or_default() });
        };
        publisher.publish(message).await.map_err(|error| match error {
            PublishError::Emit(error) => emit_failed(error),
            error @ PublishError::Refused(_) => MessagesError::Refused(error.to_string()),
        })
    }

    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, MessagesError> {
        self.started()?;
        self.store.find(filter, after, limit).await.map_err(store_failed)
    }

    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, MessagesError> {
        self.started()?;
        self.store.message(id).await.map_err(store_failed)
    }
}

fn emit_failed(error: EmitError) -> MessagesError {
    match error {
        EmitError::Invalid(why) => MessagesError::Refused(why),
        EmitError::KeyTaken(why) => MessagesError::KeyTaken(why),
        EmitError::Store(error) => store_failed(error),
        error @ EmitError::Busy(_) => MessagesError::Unavailable(error.to_string()),
        error @ EmitError::Aborted(_) => MessagesError::Internal(error.to_string()),
    }
}

fn store_failed(error: StoreError) -> MessagesError {
    if error.is_transient() {
        tracing::warn!("a request found no database: {error}");
        MessagesError::Unavailable("the database does not answer: try again".into())
    } else {
        MessagesError::Internal(error.to_string())
    }
}
