//! The domain's types as the contract's, borrowed where a call hands them over.

use bytes::Bytes;
use wasaga_domain::{
    attempt::{self, Direction},
    lifecycle::LifecycleEvent,
    message::{Header, Message},
    outcome::{self, ErrorDetail},
    payload::{JSON, Payload},
    ports::TaskCall,
};

use crate::bindings::{
    exports::wasaga::plugin::{
        lifecycle,
        steps::{Arrival, ChildEnd},
        tasks,
    },
    wasaga::plugin::types::{
        Attempt, Direction as WitDirection, ErrorDetailParam, ErrorDetailResult, HeaderParam,
        MessageParam, MessageResult, PayloadParam, PayloadResult,
    },
};

/// A payload to hand over.
pub(crate) fn payload(payload: &Payload) -> PayloadParam<'_> {
    PayloadParam { content_type: &payload.content_type, data: &payload.data }
}

/// A payload as an import returns it.
pub(crate) fn owned_payload(payload: &Payload) -> PayloadResult {
    PayloadResult {
        content_type: payload.content_type.as_ref().to_owned(),
        data: payload.data.to_vec(),
    }
}

/// An error as an import returns it.
pub(crate) fn owned_detail(detail: &ErrorDetail) -> ErrorDetailResult {
    ErrorDetailResult {
        code: detail.code.clone(),
        message: detail.message.clone(),
        data: detail.data.as_ref().map(owned_payload),
    }
}

/// A payload that a guest returned.
pub(crate) fn taken_payload(payload: PayloadResult) -> Payload {
    Payload::new(payload.content_type, payload.data)
}

/// A message that a guest returned.
pub(crate) fn taken_message(message: MessageResult) -> Message {
    let header = |header: crate::bindings::wasaga::plugin::types::HeaderResult| Header {
        name: header.name,
        value: header.value.into(),
    };
    Message {
        topic: message.topic,
        key: message.key.map(Bytes::from),
        headers: message.headers.into_iter().map(header).collect(),
        value: message.value.map(Bytes::from),
    }
}

/// An attempt to hand over; `id` is where its saga's id is written out.
pub(crate) fn attempt<'a>(attempt: &'a attempt::Attempt, id: &'a mut [u8; 36]) -> Attempt<'a> {
    Attempt {
        saga_id: attempt.saga_id.0.as_hyphenated().encode_lower(id),
        saga: &attempt.saga,
        definition_version: attempt.definition_version,
        business_key: attempt.business_key.as_deref(),
        step: &attempt.step,
        direction: match attempt.direction {
            Direction::Forward => WitDirection::Forward,
            Direction::Undo => WitDirection::Undo,
        },
        number: attempt.number,
        idempotency_key: &attempt.idempotency_key,
        forward_key: &attempt.forward_key,
        deadline_ms: u64::try_from(attempt.deadline.0).unwrap_or(0),
        traceparent: attempt.traceparent.as_deref(),
    }
}

/// The headers of a message, which the message to hand over borrows.
pub(crate) fn headers<'a>(message: &'a Message) -> Vec<HeaderParam<'a>> {
    let header = |header: &'a Header| HeaderParam { name: &header.name, value: &header.value };
    message.headers.iter().map(header).collect()
}

/// A message to hand over.
pub(crate) fn message<'a>(
    message: &'a Message,
    headers: &'a [HeaderParam<'a>],
) -> MessageParam<'a> {
    MessageParam {
        topic: &message.topic,
        key: message.key.as_deref(),
        headers,
        value: message.value.as_deref(),
    }
}

/// What ended a wait, to hand over; `id` is where a child's id is written out.
pub(crate) fn arrival<'a>(
    arrival: &'a outcome::Arrival,
    headers: &'a [HeaderParam<'a>],
    id: &'a mut [u8; 36],
) -> Arrival<'a> {
    match arrival {
        outcome::Arrival::Message { correlation, message: arrived } => {
            Arrival::Message((correlation, message(arrived, headers)))
        }
        outcome::Arrival::Signal { name, payload: carried } => {
            Arrival::Signal((name, payload(carried)))
        }
        outcome::Arrival::Child { name, end } => Arrival::Child((name, child_end(end, id))),
        outcome::Arrival::TimedOut => Arrival::TimedOut,
    }
}

/// An event in a saga's life, to hand over.
pub(crate) fn event(event: &LifecycleEvent) -> lifecycle::Event<'_> {
    match event {
        LifecycleEvent::Started => lifecycle::Event::Started,
        LifecycleEvent::StepSucceeded { step } => lifecycle::Event::StepSucceeded(step),
        LifecycleEvent::StepFailed { step, error } => {
            lifecycle::Event::StepFailed((step, detail(error)))
        }
        LifecycleEvent::StepCompensated { step } => lifecycle::Event::StepCompensated(step),
        LifecycleEvent::Completed { output } => lifecycle::Event::Completed(
            output.as_ref().map_or(PayloadParam { content_type: JSON, data: b"null" }, payload),
        ),
        LifecycleEvent::Failed { error } => lifecycle::Event::Failed(detail(error)),
        LifecycleEvent::Compensated { error } => lifecycle::Event::Compensated(detail(error)),
        LifecycleEvent::NeedsAttention { error } => lifecycle::Event::NeedsAttention(detail(error)),
    }
}

fn child_end<'a>(end: &'a outcome::ChildEnd, id: &'a mut [u8; 36]) -> ChildEnd<'a> {
    ChildEnd {
        saga_id: end.saga.0.as_hyphenated().encode_lower(id),
        status: end.status.as_str(),
        output: end.output.as_ref().map(payload),
        error: end.error.as_ref().map(detail),
    }
}

/// An error to hand over.
fn detail(detail: &ErrorDetail) -> ErrorDetailParam<'_> {
    ErrorDetailParam {
        code: &detail.code,
        message: &detail.message,
        data: detail.data.as_ref().map(payload),
    }
}

/// A task to hand over; `id` is its id, written out.
pub(crate) fn task<'a>(
    call: &'a TaskCall,
    id: &'a str,
    headers: &'a [HeaderParam<'a>],
) -> tasks::Task<'a> {
    tasks::Task {
        id,
        attempt: call.attempt,
        idempotency_key: &call.idempotency_key,
        deadline_ms: u64::try_from(call.deadline.0).unwrap_or(0),
        traceparent: call.traceparent.as_deref(),
        message: message(&call.message, headers),
    }
}

/// A dead letter to hand over; `id` is its id, written out.
pub(crate) fn dead_task<'a>(
    call: &'a TaskCall,
    reason: &'a ErrorDetail,
    id: &'a str,
    headers: &'a [HeaderParam<'a>],
) -> tasks::DeadTask<'a> {
    tasks::DeadTask { task: task(call, id, headers), reason: detail(reason) }
}
