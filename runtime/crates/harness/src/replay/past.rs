//! The calls of a saga's past, each as it was made: from the journal, and for what ended a wait from the mail.

use std::{collections::HashMap, sync::Arc};

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::Definition,
    ids::PluginName,
    journal::{Entry, EntryKind},
    ledger::Ledger,
    mail::{Mail, MailContent},
    outcome::{Arrival, ErrorDetail, WaitSource},
    ports::StepCall,
    state::{Activity, Course, OpenStep},
};
use wasaga_engine::driver::{claims, held::Held};
use wasaga_store::{saga_claim::Claimed, saga_past::SagaPast, saga_read::JournalRow};

/// What a call waits for; absent: it does not wait.
pub(super) type Awaited = Option<Vec<WaitSource>>;

/// A saga on its way through its journal.
pub(super) struct Past {
    held: Held,
    ledger: Ledger,
    cause: Option<ErrorDetail>,
    /// What came and was not used yet.
    mail: Vec<(UnixMillis, Mail)>,
    /// What steps wait for; absent: that is not known.
    waits: HashMap<(u16, Direction), Awaited>,
}

impl Past {
    pub(super) fn new(saga: &SagaPast, definition: Arc<Definition>) -> Self {
        let claimed = Claimed {
            id: saga.id,
            definition: saga.definition.clone(),
            version: saga.version,
            business_key: saga.business_key.clone(),
            nonce: saga.nonce,
            traceparent: saga.traceparent.clone(),
            input: saga.input.clone(),
            child: false,
            epoch: 0,
            sequence: 0,
            interruptions: 0,
            mail: 0,
            state: saga.state.clone(),
        };
        Self {
            held: claims::held(claimed, definition, Vec::new()),
            ledger: Ledger::default(),
            cause: None,
            mail: saga.mail.clone(),
            waits: HashMap::new(),
        }
    }

    /// The call that this entry is about, if it is one of this plugin's; or why it can't be told.
    pub(super) fn call(
        &mut self,
        row: &JournalRow,
        plugin: &PluginName,
    ) -> Option<Result<StepCall, String>> {
        // Without a module nobody was called.
        row.digest?;
        let name = row.step.as_deref()?;
        let definition = self.held.facts.definition.clone();
        let Some(place) = self.held.state.place_of(&definition, name) else {
            let version = definition.version;
            return Some(Err(format!(
                "entry {}: version {version} has no step {name}",
                row.number
            )));
        };
        if definition.steps[usize::from(place)].worker != *plugin {
            return None;
        }
        let mut open = OpenStep::first(place, row.started_at);
        open.attempt = row.attempt;
        match self.waits.get(&(place, row.direction)) {
            None => {}
            Some(None) => {
                return Some(Err(format!(
                    "entry {}: the resume of {name}: the module that ran does not wait any more, so that it is not \
                     known for what",
                    row.number
                )));
            }
            Some(Some(sources)) => {
                let sources = sources.clone();
                open.activity = Activity::Resume(self.arrival(&sources, row.at));
            }
        }
        self.held.state.course = match row.direction {
            Direction::Forward => Course::Forward,
            Direction::Undo => {
                let unknown = || ErrorDetail::new("unknown", "the journal does not say");
                Course::Undo(self.cause.clone().unwrap_or_else(unknown))
            }
        };
        self.held.ledger = Arc::new(self.ledger.clone());
        Some(Ok(self.held.call(&open, row.started_at)))
    }

    /// Goes on behind this entry; `waits`: what its call waits for.
    pub(super) fn pass(&mut self, row: &JournalRow, waits: Awaited) {
        if row.kind == EntryKind::Undoing {
            self.cause.clone_from(&row.error);
        }
        let name = row.step.as_deref();
        let place =
            name.and_then(|name| self.held.state.place_of(&self.held.facts.definition, name));
        let Some(place) = place else { return };
        match row.kind {
            EntryKind::Waiting => {
                self.waits.insert((place, row.direction), waits);
            }
            EntryKind::Succeeded | EntryKind::Skipped | EntryKind::Failed | EntryKind::Retrying => {
                self.waits.remove(&(place, row.direction));
            }
            _ => {}
        }
        self.ledger.record(&Entry {
            step: Some(place),
            output: row.output.clone(),
            undo: row.undo.clone(),
            memo: row.memo.clone(),
            ..Entry::of_saga(row.kind, row.direction, row.at)
        });
    }

    /// The first of these that had come by then; nothing came in time where none had.
    fn arrival(&mut self, sources: &[WaitSource], by: UnixMillis) -> Arrival {
        let children = &self.held.state.children;
        let meets = |content: &MailContent, source: &WaitSource| match (content, source) {
            (
                MailContent::Reply { correlation, message, .. },
                WaitSource::Message { topic, correlation: awaited },
            ) => message.topic == *topic && correlation == awaited,
            (MailContent::Signal { name, .. }, WaitSource::Signal(awaited)) => name == awaited,
            (MailContent::Child(end), WaitSource::Child(awaited)) => {
                children.iter().any(|child| child.name == *awaited && child.saga == end.saga)
            }
            _ => false,
        };
        let place = self.mail.iter().position(|(came, mail)| {
            *came <= by && sources.iter().any(|source| meets(&mail.content, source))
        });
        let Some(place) = place else { return Arrival::TimedOut };
        let (_, mail) = self.mail.remove(place);
        match mail.content {
            MailContent::Reply { correlation, message, .. } => {
                Arrival::Message { correlation, message }
            }
            MailContent::Signal { name, payload } => Arrival::Signal { name, payload },
            MailContent::Child(end) => {
                let child = self.held.state.children.iter().find(|child| child.saga == end.saga);
                let name = child.map(|child| child.name.clone()).unwrap_or_default();
                Arrival::Child { name, end: Box::new(end) }
            }
            MailContent::Verb { .. } => Arrival::TimedOut,
        }
    }
}
