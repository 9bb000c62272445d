//! What a guest may return: what it hands back is judged before anything of it is queued for the database.
//!
//! Too much is a hit limit, and the attempt may be repeated. What can never be stored, is not granted or not built
//! is permanent: the next attempt would return it again.

use std::time::Duration;

use uuid::Uuid;
use wasaga_domain::{
    catalog::{Catalog, Recipient},
    clock::UnixMillis,
    ids::SagaId,
    message::{Message, Outgoing},
    outcome::{Done, Effect, ErrorDetail, Failure, SagaStart, StepOutcome, Wait, WaitSource},
    payload::Payload,
    start::NewSaga,
};

use crate::{
    access::Access,
    bindings::{
        exports::wasaga::plugin::{steps, tasks},
        wasaga::plugin::types,
    },
    convert,
    failure::retryable,
    limits::{Limits, told, told_bytes},
    secrets::Secrets,
};

/// Error codes and messages are cut off here, in bytes.
const CODE: usize = 200;
const MESSAGE: usize = 8 << 10;

/// Judges one result.
pub(crate) struct Judge<'a> {
    limits: &'a Limits,
    access: &'a Access,
    catalog: &'a Catalog,
    now: UnixMillis,
    bytes: usize,
}

impl<'a> Judge<'a> {
    /// A judge of what a plugin of this access returned.
    pub(crate) fn new(
        limits: &'a Limits,
        access: &'a Access,
        catalog: &'a Catalog,
        now: UnixMillis,
    ) -> Self {
        Self { limits, access, catalog, now, bytes: 0 }
    }

    /// What `execute`, `resume` or `compensate` returned.
    pub(crate) fn outcome(mut self, outcome: steps::Outcome) -> Result<StepOutcome, Failure> {
        Ok(match outcome {
            steps::Outcome::Done(done) => StepOutcome::Done(Done {
                output: self.payload("output", done.output)?,
                undo: self.optional("undo", done.undo)?,
                effects: self.listed(done.effects)?,
            }),
            steps::Outcome::Wait(wait) => StepOutcome::Wait(Wait {
                sources: wait
                    .sources
                    .into_iter()
                    .map(|source| self.source(source))
                    .collect::<Result<_, _>>()?,
                timeout: wait.timeout_ms.map(Duration::from_millis),
                effects: self.listed(wait.effects)?,
                undo: self.optional("undo", wait.undo)?,
                memo: self.optional("memo", wait.memo)?,
            }),
        })
    }

    /// What a task returned.
    pub(crate) fn effects(mut self, effects: Vec<types::Effect>) -> Result<Vec<Effect>, Failure> {
        self.listed(effects)
    }

    /// What takes a message's place: one message, or none.
    pub(crate) fn outbound(mut self, outbound: tasks::Outbound) -> Result<Vec<Effect>, Failure> {
        match outbound {
            tasks::Outbound::Publish(message) => {
                let message = self.message(message)?;
                Ok(vec![Effect::Send(Outgoing { message, rollback: None })])
            }
            tasks::Outbound::Drop => Ok(Vec::new()),
        }
    }

    fn listed(&mut self, effects: Vec<types::Effect>) -> Result<Vec<Effect>, Failure> {
        let (returned, limit) = (effects.len(), self.limits.effects);
        if returned > limit {
            let plugin = self.access.name();
            let limit = told(limit, "effects");
            let message = format!("plugin {plugin}: {returned} effects: {limit}");
            return Err(retryable("limit", message));
        }
        effects.into_iter().map(|effect| self.effect(effect)).collect()
    }

    fn effect(&mut self, effect: types::Effect) -> Result<Effect, Failure> {
        match effect {
            types::Effect::Send(outgoing) => Ok(Effect::Send(Outgoing {
                message: self.message(outgoing.message)?,
                rollback: outgoing.rollback.map(|message| self.message(message)).transpose()?,
            })),
            types::Effect::Start(start) => self.start(start),
            types::Effect::Signal(signal) => Ok(Effect::Signal {
                saga: target(signal.target)?,
                name: named("a signal's name", signal.name)?,
                payload: self.payload("a signal's payload", signal.payload)?,
            }),
            types::Effect::Cancel(saga) => Ok(Effect::Cancel(target(saga)?)),
        }
    }

    /// The start of a saga that is active here now.
    fn start(&mut self, start: types::SagaStart) -> Result<Effect, Failure> {
        let types::SagaStart { saga, business_key, input, child } = start;
        let active = self.catalog.definitions.get(saga.as_str()).ok_or_else(|| {
            let message = format!("it starts saga {saga:?}, and no plugin here defines that");
            retryable("unknown-saga", message)
        })?;
        let input = self.payload("a saga's input", input)?;
        if let Some(why) = active.definition.refusal(&input) {
            return Err(permanent("bad-input", format!("it starts saga {saga:?}: {why}")));
        }
        let business_key = business_key.map(|key| named("a business key", key)).transpose()?;
        let child = child.map(|child| named("a child's name", child)).transpose()?;
        let saga = NewSaga::of(&active.definition, business_key, input, Uuid::now_v7(), self.now);
        Ok(Effect::Start(Box::new(SagaStart { saga, child })))
    }

    fn message(&mut self, message: types::MessageResult) -> Result<Message, Failure> {
        let message = convert::taken_message(message);
        let Message { topic, key, headers, value } = &message;
        legal_topic(topic).map_err(|fault| bad_output(format!("it sends to {fault}")))?;
        if !self.access.may_send(topic) {
            return Err(permanent(
                "denied",
                format!(
                    "plugin {} may not send to topic {topic}{}: capabilities.topics of its manifest \
                     does not cover it{}",
                    self.access.name(),
                    self.access.when().0,
                    self.access.topics_hint(topic)
                ),
            ));
        }
        let mut bytes = key.as_ref().map_or(0, bytes::Bytes::len);
        bytes += value.as_ref().map_or(0, bytes::Bytes::len);
        for header in headers {
            storable("a header's name", &header.name)?;
            bytes += header.name.len() + header.value.len();
        }
        self.count(&format!("message to {topic}"), bytes)?;
        Ok(message)
    }

    fn source(&self, source: steps::WaitSource) -> Result<WaitSource, Failure> {
        let steps::AwaitedMessage { topic, correlation } = match source {
            steps::WaitSource::Message(awaited) => awaited,
            steps::WaitSource::Signal(name) => {
                return named("a signal's name", name).map(WaitSource::Signal);
            }
            steps::WaitSource::Child(name) => {
                return named("a child's name", name).map(WaitSource::Child);
            }
        };
        storable("a correlation key", &correlation)?;
        legal_topic(&topic).map_err(|fault| bad_output(format!("it waits for {fault}")))?;
        match self.catalog.recipient(&topic) {
            Some(Recipient::Waits(_)) => Ok(WaitSource::Message { topic, correlation }),
            Some(Recipient::Plugin(_) | Recipient::Start(..)) | None => Err(permanent(
                "not-subscribed",
                format!(
                    "plugin {} waits for topic {topic}, to which no plugin subscribes with a \
                     correlation: add {{\"topic\": \"{topic}\", \"correlation\": …}} to its \
                     manifest's subscriptions",
                    self.access.name()
                ),
            )),
        }
    }

    fn optional(
        &mut self,
        what: &str,
        payload: Option<types::PayloadResult>,
    ) -> Result<Option<Payload>, Failure> {
        payload.map(|payload| self.payload(what, payload)).transpose()
    }

    fn payload(&mut self, what: &str, payload: types::PayloadResult) -> Result<Payload, Failure> {
        storable("a content type", &payload.content_type)?;
        self.count(what, payload.data.len() + payload.content_type.len())?;
        Ok(convert::taken_payload(payload))
    }

    fn count(&mut self, what: &str, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        let Limits { payload_bytes, result_bytes, .. } = *self.limits;
        let plugin = self.access.name();
        if bytes > payload_bytes {
            let limit = told_bytes(payload_bytes, "payload_bytes");
            let message = format!("plugin {plugin}: {what} of {bytes} bytes: {limit}");
            return Err(retryable("limit", message));
        }
        if self.bytes > result_bytes {
            let limit = told_bytes(result_bytes, "result_bytes");
            let message = format!("plugin {plugin}: result too large: {limit}");
            return Err(retryable("limit", message));
        }
        Ok(())
    }
}

/// A failure that a guest returned. Its class stands, so its texts are mended rather than refused.
pub(crate) fn failure(failure: types::Failure, limits: &Limits, secrets: &Secrets) -> Failure {
    let detail = |error| detail(error, limits, secrets);
    match failure {
        types::Failure::Retryable(hint) => Failure::Retryable {
            detail: detail(hint.detail),
            after: hint.after_ms.map(Duration::from_millis),
        },
        types::Failure::Permanent(error) => Failure::Permanent(detail(error)),
        types::Failure::Unknown(error) => Failure::Unknown(detail(error)),
    }
}

/// An error that a guest returned, made storable: without secrets and NUL, cut off, and without data that is too large.
pub(crate) fn detail(
    detail: types::ErrorDetailResult,
    limits: &Limits,
    secrets: &Secrets,
) -> ErrorDetail {
    let fits = |data: &types::PayloadResult| data.data.len() <= limits.payload_bytes;
    let data = detail
        .data
        .filter(fits)
        .map(|data| types::PayloadResult { content_type: text(data.content_type, CODE), ..data });
    let data = data.map(convert::taken_payload);
    let said = ErrorDetail { code: detail.code, message: detail.message, data };
    let ErrorDetail { code, message, data } = secrets.redacted_detail(said);
    ErrorDetail { code: text(code, CODE), message: text(message, MESSAGE), data }
}

fn text(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Whether Kafka takes this name, or what it is called instead.
pub(crate) fn legal_topic(topic: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&topic.len()) && topic.chars().all(legal) && topic != "." && topic != ".."
    {
        return Ok(());
    }
    Err(format!("topic {topic:?}, which is no topic's name: 1 to 249 of a-z A-Z 0-9 . _ -"))
}

/// Postgres's text has no NUL.
fn storable(what: &str, text: &str) -> Result<(), Failure> {
    if text.contains('\0') { Err(bad_output(format!("{what} holds NUL"))) } else { Ok(()) }
}

/// Something to be found by again: 1 to 500 characters, as business keys have.
fn named(what: &str, name: String) -> Result<String, Failure> {
    storable(what, &name)?;
    match name.chars().count() {
        1..=500 => Ok(name),
        length => {
            Err(bad_output(format!("{what} has {length} characters, and must have 1 to 500")))
        }
    }
}

/// The saga that is meant.
fn target(target: types::SagaTarget) -> Result<SagaId, Failure> {
    match target {
        types::SagaTarget::Id(id) => id
            .parse()
            .map(SagaId)
            .map_err(|_| bad_output(format!("{id:?} is no saga's id, which is a UUID"))),
        types::SagaTarget::BusinessKey((saga, key)) => Ok(SagaId::derived(&saga, &key)),
    }
}

fn bad_output(message: String) -> Failure {
    permanent("bad-output", message)
}

fn permanent(code: &str, message: String) -> Failure {
    Failure::Permanent(ErrorDetail::new(code, message))
}
