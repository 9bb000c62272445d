//! The driver: claims sagas under the host's lease, calls their steps and commits what `decide` says, many sagas in
//! one transaction.
//!
//! One task, the actor, owns what the host holds; everything that takes time runs beside it and reports to it:
//! calls in the executor, commits, starts and claims in tasks of their own.

mod actor;
pub mod claims;
mod committer;
pub mod held;
mod lifecycle;
mod post;
mod starts;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};
use wasaga_domain::{
    clock::Clock,
    definition::Definition,
    ids::{Digest, HostId, SagaId},
    mail::{Audit, Migration, Verb},
    payload::Payload,
    ports::StepExecutor,
    state::Status,
};
use wasaga_store::{Store, mail::Posted, saga_search::FoundSaga};

use crate::{definitions::DefinitionSource, migration};
use actor::{Actor, Event};
pub use committer::fate;

/// How much the driver takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Sagas held at once.
    pub held: usize,
    /// Transitions, or starts, in one transaction.
    pub batch: usize,
    /// Commits under way at once. One gathers the largest batches, and costs Postgres the least.
    pub committers: usize,
    /// How often to look for work that nobody announced.
    pub sweep: Duration,
    /// How long a stop waits for calls and commits under way.
    pub grace: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            held: 4096,
            batch: 512,
            committers: 1,
            sweep: Duration::from_millis(500),
            grace: Duration::from_secs(10),
        }
    }
}

/// What the driver works with.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who calls the steps.
    pub executor: Arc<dyn StepExecutor>,
    /// Who knows the definitions.
    pub definitions: Arc<dyn DefinitionSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The host's lease.
    pub host: watch::Receiver<Option<HostId>>,
    /// Rung when sagas may be ready: after replies, cancels and resumes.
    pub sagas: Arc<Notify>,
    /// Rung by the driver when it has committed messages for the outbox.
    pub outbox: Arc<Notify>,
    /// Told of each saga whose end was committed here.
    pub ends: Option<mpsc::UnboundedSender<SagaId>>,
}

/// A saga to start.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// What to run.
    pub definition: Arc<Definition>,
    /// What for; starting twice under one key starts once.
    pub business_key: Option<String>,
    /// Its input.
    pub input: Payload,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// A saga that was started, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub saga_id: SagaId,
    /// Whether this start made it.
    pub created: bool,
    /// Where it stands.
    pub status: Status,
}

/// Why a saga was not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is one under this key, with another input; where it stands.
    #[error("a saga with this business key was started before with other input: {0}")]
    Conflict(SagaId, Status),
    /// The values do not fit the database.
    #[error("the start was refused: {0}")]
    Refused(String),
    /// Try again, here or on another host.
    #[error("no saga can be started here now: {0}")]
    Unavailable(String),
}

/// Why a request did not reach its saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// There is no such saga.
    #[error("there is no saga {0}")]
    NotFound(SagaId),
    /// It has ended.
    #[error("saga {0} is final: {status}", status = .1.as_str())]
    Final(SagaId, Status),
    /// It only goes forward.
    #[error("saga {0} is past its pivot, and can't be cancelled: {status}", status = .1.as_str())]
    PastPivot(SagaId, Status),
    /// There is no such module.
    #[error("no module {0} was ever active: `digest` in a saga's history tells which were")]
    NoModule(Digest),
    /// Try again.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
}

/// The running driver. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    events: mpsc::UnboundedSender<Event>,
    store: Store,
    definitions: Arc<dyn DefinitionSource>,
    sagas: Arc<Notify>,
}

/// The driver's task, to be stopped once.
pub struct EngineHandle {
    events: mpsc::UnboundedSender<Event>,
    actor: JoinHandle<()>,
}

impl Engine {
    /// Starts to work.
    pub fn start_up(parts: Parts, options: EngineOptions) -> (Self, EngineHandle) {
        let (events, receiver) = mpsc::unbounded_channel();
        let engine = Self {
            events: events.clone(),
            store: parts.store.clone(),
            definitions: Arc::clone(&parts.definitions),
            sagas: Arc::clone(&parts.sagas),
        };
        let actor = tokio::spawn(Actor::new(parts, options, events.clone()).run(receiver));
        (engine, EngineHandle { events, actor })
    }

    /// Starts a saga; when this returns, it is committed.
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let gone = || StartError::Unavailable("the host is stopping".into());
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::Start(starts::Start { request, answer })).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Asks something of a saga; the status is that of before.
    pub async fn ask(&self, saga: SagaId, verb: &Verb, by: &Audit) -> Result<Status, VerbError> {
        self.posted(saga, self.store.saga_ask(saga, verb, by).await)
    }

    /// Why this saga cannot be moved; see [`migration::refusals`].
    pub async fn refusals(
        &self,
        saga: &FoundSaga,
        migration: &Migration,
    ) -> Result<Vec<String>, String> {
        migration::refusals(&*self.definitions, saga, migration).await
    }

    /// Sends a saga a signal; the status is that of before.
    pub async fn signal(
        &self,
        saga: SagaId,
        name: &str,
        payload: &Payload,
    ) -> Result<Status, VerbError> {
        self.posted(saga, self.store.saga_signal(saga, name, payload).await)
    }

    fn posted(
        &self,
        saga: SagaId,
        posted: Result<Posted, wasaga_store::StoreError>,
    ) -> Result<Status, VerbError> {
        match posted.map_err(|error| VerbError::Unavailable(error.to_string()))? {
            Posted::NotFound => Err(VerbError::NotFound(saga)),
            Posted::Final(status) => Err(VerbError::Final(saga, status)),
            Posted::PastPivot(status) => Err(VerbError::PastPivot(saga, status)),
            Posted::NoModule(module) => Err(VerbError::NoModule(module)),
            Posted::Accepted(status) => {
                self.sagas.notify_one();
                // The saga may be held here already; then its mail is read at its next commit, or now.
                let _ = self.events.send(Event::Posted(saga));
                Ok(status)
            }
        }
    }
}

impl EngineHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.actor.is_finished()
    }

    /// Claims and calls nothing more, waits for what is under way (no longer than the grace), and releases the rest.
    pub async fn stop(self) {
        let _ = self.events.send(Event::Stop);
        // The actor ends by itself within the grace; a panic of it is in the log.
        let _ = self.actor.await;
    }
}
