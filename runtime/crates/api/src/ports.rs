//! What the API asks of the host that runs it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use wasaga_domain::{
    dead_letter::{LetterFilter, LetterFlow, LetterVerb},
    definition::Definition,
    ids::{Digest, PluginName, SagaId},
    mail::{Audit, Migration, Verb},
    message_search::MessageFilter,
    payload::Payload,
    ports::CatalogSource,
    search::SagaFilter,
    state::Status,
    swap::{Part, Swap, Swapped},
};
use wasaga_store::{
    activation_history::{PluginParts, PluginState},
    dead_letter_edit::{Edited, LetterEdit},
    dead_letter_end::EndedLetter,
    dead_letter_read::Letter,
    dead_letter_search::{LetterPage, Order},
    emit::NewMessage,
    events_read::EventRow,
    outbox_find::{FoundMessages, WholeMessage},
    publish_first::Published,
    retention::Tombstone,
    saga_read::{JournalRow, SagaRow},
    saga_search::{Cursor, FoundSaga, Page},
    schedules::ScheduleRow,
    steps_needed::{TouchedCount, TouchedPage},
};

/// Starts, asks and reads sagas.
#[async_trait]
pub trait Sagas: Send + Sync + 'static {
    /// Starts a saga, or answers with the one that runs for this business key already. It is committed when this
    /// returns.
    async fn start(&self, saga: StartSaga) -> Result<Started, SagasError>;

    /// Asks something of a saga; the answer is its status from before.
    async fn ask(&self, id: SagaId, verb: &Verb, by: &Audit) -> Result<Status, SagasError>;

    /// Asks the same of many sagas; the answer is how many will see it.
    async fn ask_all(&self, ids: &[SagaId], verb: &Verb, by: &Audit) -> Result<usize, SagasError>;

    /// Why a saga cannot be moved to another version of its definition, all reasons; none: it can, as it stands.
    async fn refusals(
        &self,
        saga: &FoundSaga,
        migration: &Migration,
    ) -> Result<Vec<String>, SagasError>;

    /// Sends a saga a signal; the answer is its status from before.
    async fn signal(&self, id: SagaId, name: &str, payload: &Payload)
    -> Result<Status, SagasError>;

    /// The saga of this id.
    async fn saga(&self, id: SagaId) -> Result<SagaRow, SagasError>;

    /// A saga's journal, in order.
    async fn journal(&self, id: SagaId) -> Result<Vec<JournalRow>, SagasError>;

    /// Up to `limit` of the sagas that fit, newest first, from where the page before ended.
    async fn search(
        &self,
        filter: &SagaFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, SagasError>;

    /// Up to `limit` events of a plugin's stream past this version, in order.
    async fn events(
        &self,
        plugin: &str,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<EventRow>, SagasError>;

    /// What starts by the clock, by definition.
    async fn schedules(&self) -> Result<Vec<ScheduleRow>, SagasError>;

    /// Which of these sagas have ended, or ask for an operator.
    async fn settled(&self, ids: &[SagaId]) -> Result<Vec<SagaId>, SagasError>;
}

/// Finds, mends and ends dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Up to `limit` of the letters that fit, from where the page before ended.
    async fn search(
        &self,
        flow: LetterFlow,
        filter: &LetterFilter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<LetterPage, SagasError>;

    /// The letter of this id.
    async fn letter(&self, flow: LetterFlow, id: i64) -> Result<Option<Letter>, SagasError>;

    /// Changes a letter.
    async fn edit(
        &self,
        flow: LetterFlow,
        id: i64,
        edit: &LetterEdit,
        by: &Audit,
    ) -> Result<Edited, SagasError>;

    /// Ends those of these letters that can be ended so; the answer is those.
    async fn end(
        &self,
        flow: LetterFlow,
        ids: &[i64],
        verb: LetterVerb,
        by: &Audit,
    ) -> Result<Vec<EndedLetter>, SagasError>;
}

/// A saga to start.
#[derive(Clone, Debug)]
pub struct StartSaga {
    /// An active definition.
    pub definition: Arc<Definition>,
    /// 1 to 500 characters; absent: each call starts a saga of its own.
    pub business_key: Option<String>,
    /// JSON that fits the definition's schema.
    pub input: Payload,
    /// W3C trace context of the caller.
    pub traceparent: Option<String>,
}

/// A saga that was started, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub saga_id: SagaId,
    /// Whether this call started it.
    pub created: bool,
    /// Its status now.
    pub status: Status,
    /// Whether it was started with the same input, as far as the host can tell: byte by byte.
    pub same_input: bool,
}

/// Why the host did not do what was asked, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagasError {
    /// There is no such saga.
    NotFound,
    /// There is no such saga any more.
    Removed(Tombstone),
    /// The saga is at its end.
    Final(Status),
    /// The saga only goes forward.
    PastPivot(Status),
    /// The request itself can't be kept; the sentence is for the caller.
    Refused(String),
    /// The same again may work a little later; the sentence is for the caller.
    Unavailable(String),
    /// A fault of this host; the sentence is for its log.
    Internal(String),
}

/// Writes to the outbox, and looks into it.
#[async_trait]
pub trait Messages: Send + Sync + 'static {
    /// Stores all of these messages, or none; answers with their ids, in order.
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, MessagesError>;

    /// Publishes a message at once, or stores it.
    async fn publish(&self, message: &NewMessage) -> Result<Published, MessagesError>;

    /// Up to `limit` of the messages that fit, newest first, from where the page before ended.
    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, MessagesError>;

    /// The message of this id.
    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, MessagesError>;
}

/// Why the host did not do what was asked of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessagesError {
    /// The message can't be sent; the sentence is for the caller.
    Refused(String),
    /// Other content was emitted under its key; the sentence is for the caller.
    KeyTaken(String),
    /// The same again may work a little later; the sentence is for the caller.
    Unavailable(String),
    /// A fault of this host; the sentence is for its log.
    Internal(String),
}

/// Which plugins run here, which were refused, and what all hosts run.
#[async_trait]
pub trait Plugins: CatalogSource {
    /// Modules that were refused and not replaced since.
    fn rejections(&self) -> Vec<Rejected>;

    /// Checks a component, keeps it as a module, and makes the change on all hosts.
    async fn swap(&self, component: Vec<u8>, swap: &Swap) -> Result<Swapped, SagasError>;

    /// The same with a module that is kept already.
    async fn swap_kept(
        &self,
        plugin: &PluginName,
        digest: Digest,
        swap: &Swap,
    ) -> Result<Swapped, SagasError>;

    /// Goes back to the module that was active before the active one.
    async fn roll_back(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError>;

    /// Makes the plugin's canary its active module.
    async fn promote(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError>;

    /// Ends a part of a plugin's activation.
    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<(), SagasError>;

    /// What runs of a plugin, its modules and its history; nothing of one that was never active.
    async fn plugin(&self, plugin: &PluginName) -> Result<Option<PluginState>, SagasError>;

    /// What runs beside the active modules, by plugin; those without any are left out.
    async fn parts(&self) -> Result<BTreeMap<String, PluginParts>, SagasError>;

    /// How many sagas in flight a change of this plugin's module touches, and up to `limit` of them, newest first, from
    /// where the page before ended; with a module, what they would miss of it.
    async fn touched(
        &self,
        plugin: &PluginName,
        module: Option<Digest>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<TouchedCount>, TouchedPage), SagasError>;
}

/// A module that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The file, or the plugin's name.
    pub source: String,
    /// What is wrong and how to mend it.
    pub reason: String,
}

/// Looks at what the host needs.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Each thing the host needs, as it is now; within a second or two.
    async fn check(&self) -> Vec<Check>;
}

/// Something the host needs, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `database`, `broker` or `plugins`.
    pub name: &'static str,
    /// Whether the host can work with it.
    pub ready: bool,
    /// Why not, or what else is worth knowing.
    pub reason: Option<String>,
}
