//! The outbox as a port: what applications and the relay ask of it. [`Store`] is the one in Postgres,
//! [`MemoryOutbox`](crate::outbox_memory::MemoryOutbox) one in memory; `tests/outbox` is the suite that both pass.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use wasaga_domain::{ids::HostId, message_search::MessageFilter};

use crate::{
    Store, StoreError,
    emit::{self, EmitError, NewMessage},
    lanes::{Flow, Lane},
    outbox_find::{FoundMessages, WholeMessage},
    outbox_memory::MemoryOutbox,
    publish_first::First,
    task_out::{Backlog, Excluded, Leased, TaskOut},
    task_out_floor::Floor,
};

/// See the module. The methods that a relay alone calls are named as those of [`Store`] are, and do the same.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Adds all of these messages, or none; answers with their ids, in order.
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, EmitError>;

    /// Adds a message that its sender means to publish at once.
    async fn emit_first(&self, message: &NewMessage) -> Result<First, EmitError>;

    /// Up to `limit` of the messages that fit, newest first, from where the page before ended.
    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError>;

    /// The message of this id, with what it carries.
    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, StoreError>;

    /// Registers a relay that runs without a host, whose lane is its own for `lease` from now.
    async fn relay_register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError>;

    /// Prolongs its lease to `lease` from now; false when it has ended already.
    async fn relay_beat(&self, relay: HostId, lease: Duration) -> Result<bool, StoreError>;

    /// Ends its lease.
    async fn relay_leave(&self, relay: HostId) -> Result<(), StoreError>;

    /// See [`Store::lanes_take`].
    async fn lanes_take(
        &self,
        host: HostId,
        flow: Flow,
        limit: i64,
    ) -> Result<Vec<Lane>, StoreError>;

    /// See [`Store::lanes_of`].
    async fn lanes_of(&self, host: HostId, flow: Flow) -> Result<Vec<Lane>, StoreError>;

    /// See [`Store::lanes_release`].
    async fn lanes_release(
        &self,
        host: HostId,
        flow: Flow,
        numbers: &[i16],
    ) -> Result<(), StoreError>;

    /// See [`Store::task_out_waiting`].
    async fn task_out_waiting(
        &self,
        host: HostId,
        lane: Lane,
        excluded: &Excluded,
        limit: i64,
        bytes: i64,
    ) -> Result<Leased<Vec<TaskOut>>, StoreError>;

    /// See [`Store::task_out_floor`].
    async fn task_out_floor(&self, floor: Floor) -> Result<Floor, StoreError>;

    /// See [`Store::task_out_published`].
    async fn task_out_published(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
    ) -> Result<Leased<()>, StoreError>;

    /// See [`Store::task_out_refused`].
    async fn task_out_refused(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
        reasons: &[Value],
    ) -> Result<Leased<()>, StoreError>;

    /// See [`Store::task_out_given_up`].
    async fn task_out_given_up(
        &self,
        host: HostId,
        lane: Lane,
        id: i64,
        reason: &Value,
    ) -> Result<Leased<()>, StoreError>;

    /// See [`Store::task_out_forget`].
    async fn task_out_forget(&self, retention_ms: i64, limit: i64) -> Result<u64, StoreError>;

    /// See [`Store::horizons_forget`].
    async fn horizons_forget(&self, limit: i64) -> Result<u64, StoreError>;

    /// See [`Store::task_out_backlog`].
    async fn task_out_backlog(&self, limit: i64) -> Result<Backlog, StoreError>;
}

impl From<Store> for Arc<dyn Outbox> {
    fn from(store: Store) -> Self {
        Arc::new(store)
    }
}

impl From<MemoryOutbox> for Arc<dyn Outbox> {
    fn from(outbox: MemoryOutbox) -> Self {
        Arc::new(outbox)
    }
}

#[async_trait]
impl Outbox for Store {
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, EmitError> {
        emit::emit(&self.pool, messages).await
    }

    async fn emit_first(&self, message: &NewMessage) -> Result<First, EmitError> {
        self.task_out_first(message).await
    }

    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError> {
        self.task_out_find(filter, after, limit).await
    }

    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, StoreError> {
        self.task_out_get(id).await
    }

    async fn relay_register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.hosts_forget().await?;
        self.relay_register(name, version, lease).await
    }

    async fn relay_beat(&self, relay: HostId, lease: Duration) -> Result<bool, StoreError> {
        self.host_beat(relay, lease).await
    }

    async fn relay_leave(&self, relay: HostId) -> Result<(), StoreError> {
        self.host_leave(relay).await
    }

    async fn lanes_take(
        &self,
        host: HostId,
        flow: Flow,
        limit: i64,
    ) -> Result<Vec<Lane>, StoreError> {
        self.lanes_take(host, flow, limit).await
    }

    async fn lanes_of(&self, host: HostId, flow: Flow) -> Result<Vec<Lane>, StoreError> {
        self.lanes_of(host, flow).await
    }

    async fn lanes_release(
        &self,
        host: HostId,
        flow: Flow,
        numbers: &[i16],
    ) -> Result<(), StoreError> {
        self.lanes_release(host, flow, numbers).await
    }

    async fn task_out_waiting(
        &self,
        host: HostId,
        lane: Lane,
        excluded: &Excluded,
        limit: i64,
        bytes: i64,
    ) -> Result<Leased<Vec<TaskOut>>, StoreError> {
        self.task_out_waiting(host, lane, excluded, limit, bytes).await
    }

    async fn task_out_published(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
    ) -> Result<Leased<()>, StoreError> {
        self.task_out_published(host, lane, ids).await
    }

    async fn task_out_refused(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
        reasons: &[Value],
    ) -> Result<Leased<()>, StoreError> {
        self.task_out_refused(host, lane, ids, reasons).await
    }

    async fn task_out_given_up(
        &self,
        host: HostId,
        lane: Lane,
        id: i64,
        reason: &Value,
    ) -> Result<Leased<()>, StoreError> {
        self.task_out_given_up(host, lane, id, reason).await
    }

    async fn task_out_floor(&self, floor: Floor) -> Result<Floor, StoreError> {
        self.task_out_floor(floor).await
    }

    async fn task_out_forget(&self, retention_ms: i64, limit: i64) -> Result<u64, StoreError> {
        self.task_out_forget(retention_ms, limit).await
    }

    async fn horizons_forget(&self, limit: i64) -> Result<u64, StoreError> {
        self.horizons_forget(limit).await
    }

    async fn task_out_backlog(&self, limit: i64) -> Result<Backlog, StoreError> {
        self.task_out_backlog(limit).await
    }
}
