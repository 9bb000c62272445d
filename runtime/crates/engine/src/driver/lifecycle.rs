//! What a decision tells those who listen to a saga's life.

use wasaga_domain::{
    attempt::Direction,
    journal::{Entry, EntryKind},
    lifecycle::{LifecycleEvent, Told},
    message::{Header, Message, Outgoing},
    outcome::{Effect, ErrorDetail},
};
use wasaga_store::commit::KeyedEffect;

use super::held::Facts;
use crate::decide::Decision;

/// The events of a decision, each with its journal entry's number; the first decision's come after its start.
pub(super) fn told(facts: &Facts, sequence: i32, decision: &Decision) -> Vec<(i32, Told)> {
    let mut told = Vec::new();
    let mut tell = |number: i32, entry: &Entry, event: LifecycleEvent| {
        let event_id = format!("{}/{:08x}/{number}", facts.id, facts.nonce);
        told.push((
            number,
            Told {
                event_id,
                saga_id: facts.id,
                saga: facts.definition.name.to_string(),
                version: facts.definition.version,
                business_key: facts.business_key.as_deref().map(str::to_owned),
                at: entry.at.to_string(),
                event,
            },
        ));
    };
    if let Some(first) = decision.entries.first().filter(|_| sequence == 0) {
        tell(0, first, LifecycleEvent::Started);
    }
    for (number, entry) in (sequence + 1..).zip(&decision.entries) {
        if let Some(event) = event(facts, entry, decision) {
            tell(number, entry, event);
        }
    }
    told
}

fn event(facts: &Facts, entry: &Entry, decision: &Decision) -> Option<LifecycleEvent> {
    let step = || Some(facts.definition.steps[usize::from(entry.step?)].name.to_string());
    let error = || entry.error.clone().unwrap_or_else(|| ErrorDetail::new("unknown", ""));
    Some(match (entry.kind, entry.direction) {
        (EntryKind::Succeeded, Direction::Forward) => {
            LifecycleEvent::StepSucceeded { step: step()? }
        }
        (EntryKind::Failed, Direction::Forward) => {
            LifecycleEvent::StepFailed { step: step()?, error: error() }
        }
        (EntryKind::Succeeded, Direction::Undo) => {
            LifecycleEvent::StepCompensated { step: step()? }
        }
        (EntryKind::Completed, _) => {
            let last = decision.entries.iter().rev().find_map(|entry| entry.output.clone());
            LifecycleEvent::Completed { output: last }
        }
        (EntryKind::SagaFailed, _) => LifecycleEvent::Failed { error: error() },
        (EntryKind::Compensated, _) => LifecycleEvent::Compensated { error: error() },
        (EntryKind::NeedsAttention, _) => LifecycleEvent::NeedsAttention { error: error() },
        _ => return None,
    })
}

/// The event as a message of the definition's topic, keyed by the saga.
pub(super) fn message(topic: &str, told: &Told) -> KeyedEffect {
    let value = serde_json::to_vec(told).expect("an event has no key that is not text");
    let header = |name: &str, value: &str| Header {
        name: name.into(),
        value: value.as_bytes().to_vec().into(),
    };
    let message = Message {
        topic: topic.to_owned(),
        key: Some(told.saga_id.to_string().into_bytes().into()),
        headers: vec![
            header("content-type", "application/json"),
            header("event-id", &told.event_id),
        ],
        value: Some(value.into()),
    };
    KeyedEffect {
        effect: Effect::Send(Outgoing { message, rollback: None }),
        idempotency_key: told.event_id.clone(),
    }
}
