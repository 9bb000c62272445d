//! An outbox of somebody else's, who has this crate's names alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use wasaga_client::{
    Client, EmitError, FoundMessages, MemoryOutbox, MessageFilter, NewMessage, Outbox, Published,
    RelayOptions, StoreError, WholeMessage,
    port::{Backlog, Excluded, First, Floor, Flow, HostId, Lane, Leased, TaskOut},
};
use wasaga_kafka::DevBroker;

use crate::{kafka, order, published};

/// Counts what the relay has published.
#[derive(Default)]
struct Counting {
    inner: MemoryOutbox,
    published: AtomicUsize,
}

#[async_trait]
impl Outbox for Counting {
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, EmitError> {
        self.inner.emit(messages).await
    }

    async fn emit_first(&self, message: &NewMessage) -> Result<First, EmitError> {
        self.inner.emit_first(message).await
    }

    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError> {
        self.inner.find(filter, after, limit).await
    }

    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, StoreError> {
        self.inner.message(id).await
    }

    async fn relay_register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.inner.relay_register(name, version, lease).await
    }

    async fn relay_beat(&self, relay: HostId, lease: Duration) -> Result<bool, StoreError> {
        self.inner.relay_beat(relay, lease).await
    }

    async fn relay_leave(&self, relay: HostId) -> Result<(), StoreError> {
        self.inner.relay_leave(relay).await
    }

    async fn lanes_take(
        &self,
        host: HostId,
        flow: Flow,
        limit: i64,
    ) -> Result<Vec<Lane>, StoreError> {
        self.inner.lanes_take(host, flow, limit).await
    }

    async fn lanes_of(&self, host: HostId, flow: Flow) -> Result<Vec<Lane>, StoreError> {
        self.inner.lanes_of(host, flow).await
    }

    async fn lanes_release(
        &self,
        host: HostId,
        flow: Flow,
        numbers: &[i16],
    ) -> Result<(), StoreError> {
        self.inner.lanes_release(host, flow, numbers).await
    }

    async fn task_out_waiting(
        &self,
        host: HostId,
        lane: Lane,
        excluded: &Excluded,
        limit: i64,
        bytes: i64,
    ) -> Result<Leased<Vec<TaskOut>>, StoreError> {
        self.inner.task_out_waiting(host, lane, excluded, limit, bytes).await
    }

    async fn task_out_floor(&self, floor: Floor) -> Result<Floor, StoreError> {
        self.inner.task_out_floor(floor).await
    }

    async fn task_out_published(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
    ) -> Result<Leased<()>, StoreError> {
        self.published.fetch_add(ids.len(), Relaxed);
        self.inner.task_out_published(host, lane, ids).await
    }

    async fn task_out_refused(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
        reasons: &[Value],
    ) -> Result<Leased<()>, StoreError> {
        self.inner.task_out_refused(host, lane, ids, reasons).await
    }

    async fn task_out_given_up(
        &self,
        host: HostId,
        lane: Lane,
        id: i64,
        reason: &Value,
    ) -> Result<Leased<()>, StoreError> {
        self.inner.task_out_given_up(host, lane, id, reason).await
    }

    async fn task_out_forget(&self, retention_ms: i64, limit: i64) -> Result<u64, StoreError> {
        self.inner.task_out_forget(retention_ms, limit).await
    }

    async fn horizons_forget(&self, limit: i64) -> Result<u64, StoreError> {
        self.inner.horizons_forget(limit).await
    }

    async fn task_out_backlog(&self, limit: i64) -> Result<Backlog, StoreError> {
        self.inner.task_out_backlog(limit).await
    }
}

#[tokio::test]
async fn an_outbox_of_ones_own_is_published() {
    let broker = DevBroker::start().unwrap();
    let outbox = Arc::new(Counting::default());
    let port: Arc<dyn Outbox> = outbox.clone();
    let client = kafka(Client::new(port), broker.bootstrap());
    let relay = client.start_relay(RelayOptions::default()).await.unwrap();
    let id = client.write(&order(1)).await.unwrap();
    published(&client, id).await;
    assert_eq!(outbox.published.load(Relaxed), 1);
    let first = client.publish(&order(2)).await.unwrap();
    assert!(matches!(first, Published::Published { .. }), "{first:?}");
    relay.stop().await;
}
