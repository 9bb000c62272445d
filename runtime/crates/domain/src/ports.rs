//! Where the engine, the plugin host and the store meet.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    attempt::Attempt,
    catalog::Catalog,
    clock::UnixMillis,
    definition::Definition,
    events::{Event, EventError, Snapshot, Stream},
    http::{HttpCall, HttpError, HttpExchange, HttpReach, HttpRequest, HttpResponse},
    ids::{Digest, PluginName, SagaId, TaskId},
    ledger::Ledger,
    mail::Audit,
    manifest::{Manifest, Migration},
    message::Message,
    outcome::{Arrival, Effect, ErrorDetail, Failure, StepOutcome},
    payload::Payload,
    sql::{SqlError, SqlRows, SqlValue},
    swap::{Canary, CanaryCounts, Change, Part, Swap, Swapped},
};

/// Calls a plugin for one attempt of a step.
pub trait StepExecutor: Send + Sync + 'static {
    /// Starts the call and returns at once; `report` is called exactly once, from any thread, whatever happens.
    fn run(&self, call: StepCall, report: Report<StepReport>);
}

/// Calls a plugin for one attempt of a task.
pub trait TaskExecutor: Send + Sync + 'static {
    /// Starts the call and returns at once; `report` is called exactly once, from any thread, whatever happens.
    fn handle(&self, call: TaskCall, report: Report<TaskReport>);
}

/// Takes a report.
pub type Report<R> = Box<dyn FnOnce(R) + Send>;

/// One attempt of a step.
#[derive(Clone, Debug)]
pub struct StepCall {
    /// What the guest is told.
    pub attempt: Attempt,
    /// The plugin to call.
    pub worker: PluginName,
    /// The module of it to call; absent: the active one.
    pub module: Option<Digest>,
    /// The saga's input.
    pub input: Payload,
    /// Which export.
    pub kind: CallKind,
    /// What the saga has done so far.
    pub context: CallContext,
}

/// What the import `context` tells.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Names for the ledger's places.
    pub definition: Arc<Definition>,
    /// What has been done.
    pub ledger: Arc<Ledger>,
    /// Why the saga is being undone.
    pub cause: Option<ErrorDetail>,
}

/// Which export of a step to call.
#[derive(Clone, Debug)]
pub enum CallKind {
    /// `guard` first where `guarded`, then `execute`.
    Execute {
        /// Ask the guard.
        guarded: bool,
    },
    /// `resume`.
    Resume {
        /// What the wait left.
        memo: Option<Payload>,
        /// What the wait, or the forward step, left for its undo.
        undo: Option<Payload>,
        /// What ended the wait.
        arrival: Arrival,
    },
    /// `compensate`.
    Compensate {
        /// What the forward step left.
        undo: Option<Payload>,
    },
}

impl CallKind {
    /// Whether it is `execute`.
    pub fn is_execute(&self) -> bool {
        matches!(self, Self::Execute { .. })
    }
}

/// How a step's attempt went.
pub struct StepReport {
    /// Its end.
    pub outcome: Result<StepOutcome, Failure>,
    /// The code that ran; absent where none did.
    pub digest: Option<Digest>,
    /// The guest's own SQL, to be committed with the outcome or dropped, which rolls it back.
    pub transaction: Option<Box<dyn GuestTransaction>>,
    /// Whether it may have changed something outside the host's transaction: what it does is not undone by rolling back.
    pub reached_out: bool,
    /// From its turn to its end, without what it waited for that; all of its time where it had none.
    pub took: Duration,
}

/// One attempt of a task.
#[derive(Clone, Debug)]
pub struct TaskCall {
    /// The task.
    pub id: TaskId,
    /// The plugin to call.
    pub plugin: PluginName,
    /// From 1.
    pub attempt: u32,
    /// The same for all attempts.
    pub idempotency_key: String,
    /// When the call is ended from outside.
    pub deadline: UnixMillis,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The message.
    pub message: Message,
    /// Which export.
    pub kind: TaskKind,
}

/// Which export of `tasks` to call.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskKind {
    /// `handle-in`.
    In,
    /// `handle-out`: the outcome has the message to publish, or nothing.
    Out,
    /// `handle-dead-in`, with the reason for which the message was given up.
    DeadIn(ErrorDetail),
    /// `handle-dead-out`, likewise; the outcome has the message to publish, or nothing.
    DeadOut(ErrorDetail),
}

/// How a task's attempt went.
pub struct TaskReport {
    /// Its end.
    pub outcome: Result<Vec<Effect>, Failure>,
    /// The code that ran; absent where none did.
    pub digest: Option<Digest>,
    /// The guest's own SQL, to be committed with the outcome or dropped, which rolls it back.
    pub transaction: Option<Box<dyn GuestTransaction>>,
    /// As [`StepReport::took`].
    pub took: Duration,
}

/// Opens transactions for guests, each under its plugin's own login role.
#[async_trait]
pub trait GuestDatabase: Send + Sync + 'static {
    /// A transaction in which every statement ends by `deadline`.
    async fn begin(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<Box<dyn GuestTransaction>, SqlError>;
}

/// A guest's open transaction. Dropping it rolls it back.
#[async_trait]
pub trait GuestTransaction: GuestEvents + Send {
    /// Runs a statement that returns rows.
    async fn query(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
    ) -> Result<SqlRows, SqlError>;

    /// Runs a statement and counts the rows it touched.
    async fn execute(&mut self, statement: &str, parameters: &[SqlValue]) -> Result<u64, SqlError>;

    /// The transaction itself, for the store that opened it and alone can commit it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A guest's event streams, in its transaction.
#[async_trait]
pub trait GuestEvents {
    /// The stream's snapshot and the events after it; one that nobody has appended to is empty.
    async fn load(&mut self, stream: &str) -> Result<Stream, EventError>;

    /// Appends to a stream that is at version `expected`, and answers with its new one.
    async fn append(
        &mut self,
        stream: &str,
        expected: u64,
        events: &[Event],
        saga: Option<SagaId>,
    ) -> Result<u64, EventError>;

    /// Keeps a snapshot, unless a later one is kept already.
    async fn save_snapshot(&mut self, stream: &str, snapshot: &Snapshot) -> Result<(), EventError>;
}

/// Sends guests' requests.
#[async_trait]
pub trait GuestHttp: fmt::Debug + Send + Sync + 'static {
    /// Sends a request to where `reach` allows, and follows redirects to there. An error other than `Denied` and `NotSent`
    /// says that the request may have done what it asks for.
    async fn send(
        &self,
        request: HttpRequest,
        reach: &HttpReach,
    ) -> Result<HttpResponse, HttpError>;
}

/// Keeps what became of guests' requests, for replays.
#[async_trait]
pub trait HttpRecord: fmt::Debug + Send + Sync + 'static {
    /// Keeps what a call sent, in order; or a sentence about why it does not.
    async fn keep(&self, call: &HttpCall, exchanges: &[HttpExchange]) -> Result<(), String>;
}

/// Says which plugins run here now.
pub trait CatalogSource: Send + Sync + 'static {
    /// The catalog as it is now; cheap.
    fn catalog(&self) -> Arc<Catalog>;
}

/// Modules and their activation, which all hosts share.
#[async_trait]
pub trait ModuleStore: Send + Sync + 'static {
    /// Which module is active, a row a plugin.
    async fn activations(&self) -> Result<Vec<Activation>, ModuleError>;

    /// The bytes of a module.
    async fn module(&self, digest: Digest) -> Result<Vec<u8>, ModuleError>;

    /// The signature that came with a module, if one did.
    async fn signature(&self, digest: Digest) -> Result<Option<String>, ModuleError>;

    /// Keeps a module's signature, before the module is activated: whoever hears of it then finds it.
    async fn sign(&self, digest: Digest, signature: &str) -> Result<(), ModuleError>;

    /// Keeps a checked module, runs the plugin's migrations and makes the change, with its entry in the history, in one
    /// transaction. Refused where sagas in flight need a step that the module lacks, unless it is forced; where a
    /// definition (name, version) of a module that becomes active exists with other content, or belongs to another
    /// plugin; and where the change has nothing to stand on.
    async fn swap(&self, module: NewModule, swap: &Swap) -> Result<Swapped, ModuleError>;

    /// The same for a module that becomes active whatever was, without a word about why. Returns the activation's
    /// generation.
    async fn activate(&self, module: NewModule) -> Result<i64, ModuleError> {
        let swap = Swap {
            force: true,
            ..Swap::new(Change::Activated, Audit::because("activated by hand"))
        };
        self.swap(module, &swap).await.map(|swapped| swapped.generation)
    }

    /// Ends a part of a plugin's activation, if there is one; answers whether there was.
    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<bool, ModuleError>;

    /// Who made this module active, or its plugin's canary, and when, in a few words; nothing where nobody did.
    async fn known(&self, digest: Digest) -> Result<Option<String>, ModuleError>;

    /// The module that a roll-back of this plugin goes to.
    async fn before(&self, plugin: &PluginName) -> Result<Option<Digest>, ModuleError>;

    /// The sagas in flight that call this plugin, in a few words; nothing where there are none.
    async fn needed(&self, plugin: &PluginName) -> Result<Option<String>, ModuleError>;

    /// Adds what was counted of a canary's calls; where too many failed the canary is ended, and the answer is why.
    async fn count(
        &self,
        plugin: &PluginName,
        canary: i64,
        counts: CanaryCounts,
    ) -> Result<Option<String>, ModuleError>;
}

/// A plugin's active module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The plugin.
    pub plugin: PluginName,
    /// Its active module.
    pub digest: Digest,
    /// The module that undoes what it did; absent: it does so itself.
    pub undo: Option<Digest>,
    /// Takes a part of the calls.
    pub canary: Option<Canary>,
    /// Grows with each activation of any plugin.
    pub generation: i64,
}

/// A module that was compiled and checked.
pub struct NewModule {
    /// Its bytes' digest.
    pub digest: Digest,
    /// The component; empty where it is kept already.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Whether the operator grants it `sql`: with this or the next it gets a role and a schema.
    pub sql: bool,
    /// Whether the operator grants it the event store.
    pub event_store: bool,
}

impl NewModule {
    /// The plugin's migrations, in order.
    pub fn migrations(&self) -> &[Migration] {
        &self.manifest.migrations
    }
}

/// Why a module was not kept or not read.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It never will be: a sentence that says what, where and how to mend it.
    #[error("{0}")]
    Rejected(String),
    /// Try again.
    #[error("the database: {0}")]
    Unavailable(String),
}
