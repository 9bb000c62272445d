//! What a driver needs of a store, for one saga and the children it starts.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use wasaga_domain::{
    ids::{HostId, SagaId},
    mail::{Mail, MailContent},
    outcome::ErrorDetail,
    start::NewSaga,
    state::State,
};
use wasaga_engine::driver::claims::Loaded;
use wasaga_store::commit::{Position, Transition, Verdict};

use crate::memory::Memory;

/// How a saga begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Leased to the host that took it.
    Leased(HostId),
    /// By SQL, which knows nothing of its steps.
    Unopened,
}

pub trait Store {
    /// A new life of a host.
    async fn host(&mut self) -> HostId;

    /// Its leases are another's to take.
    async fn host_dies(&mut self, host: HostId);

    async fn start(&mut self, saga: &NewSaga, start: Start);

    /// Ready, due or lost, in this order.
    async fn claim(&mut self, host: HostId) -> Option<Loaded>;

    async fn release(&mut self, host: HostId, epoch: i64);

    /// `note`: what the guest wrote by SQL of its own.
    async fn commit(&mut self, host: HostId, next: &Transition, note: Option<&str>) -> Verdict;

    async fn position(&mut self) -> Position;

    /// Past the number given.
    async fn mail(&mut self, seen: i64) -> Vec<Mail>;

    /// A verb or a signal; answers whether the saga will see it.
    async fn post(&mut self, content: &MailContent) -> bool;

    /// A message comes: to whoever waits, or it is kept.
    async fn deliver(&mut self, correlation: &str, value: &str);

    /// A child ends; with an error, it was undone.
    async fn child_ends(&mut self, child: SagaId, error: Option<&ErrorDetail>);

    async fn time_passes(&mut self, by: Duration);

    /// Holds all that is durable against the reference.
    async fn check(&mut self);

    /// The reference.
    fn memory(&self) -> &Memory;
}

/// What is durable of a saga, but for the contents of its journal, mail and messages.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Row {
    pub host: Option<i64>,
    pub ready: bool,
    pub epoch: i64,
    pub sequence: i32,
    pub interruptions: u16,
    pub status: String,
    pub state: State,
    /// Pieces of mail.
    pub mail: i64,
    /// Milliseconds from now; negative: it is overdue.
    pub due: Option<i64>,
    /// The messages that steps wait for, by correlation key.
    pub waits: BTreeMap<String, u16>,
    /// How many messages came before anybody waited for them.
    pub early: BTreeMap<String, usize>,
    pub journal: usize,
    /// Messages in the outbox.
    pub sent: usize,
    /// What guests wrote by SQL of their own.
    pub notes: usize,
    pub children: BTreeMap<SagaId, ChildRow>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ChildRow {
    /// Pieces of mail: it is to turn back.
    pub mail: i64,
    pub ended: bool,
}
