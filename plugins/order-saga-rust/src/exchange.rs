//! A step that is a command to a service and its reply.
//!
//! The correlation is the attempts' common idempotency key: a reply to an earlier attempt answers a later one as well,
//! since the service acts on the key only once.

use order_kit::{
    body::{Act, Refusal, Undo},
    channel::{Channel, Command, header},
};
use serde::Serialize;
use wasaga_guest::{prelude::*, step::Wait};

/// One step's conversation with one service.
pub struct Exchange<'a> {
    pub task: &'a StepTask,
    pub channel: &'a Channel,
}

impl Exchange<'_> {
    /// Asks the service to act, and waits for the reply until the step's time-out.
    pub fn act<T: Serialize>(&self, command: &Act<T>) -> Wait {
        self.ask(self.channel.act, None, command)
    }

    /// Asks the service to undo what it did under the forward attempts' key, if it did anything.
    pub fn undo(&self, acted: Option<Payload>) -> Result<Outcome, Failure> {
        let acted = acted.map(|acted| acted.parse()).transpose()?;
        let command = Undo { order_id: self.task.business_key().to_owned(), acted };
        self.ask(self.channel.undo, Some(&self.task.attempt.forward_key), &command).into()
    }

    fn ask<T: Serialize>(&self, kind: &str, forward_key: Option<&str>, body: &T) -> Wait {
        let key = self.task.idempotency_key();
        let command = Command {
            kind,
            idempotency_key: key,
            correlation_id: key,
            order_id: self.task.business_key(),
            reply_topic: self.channel.replies,
            forward_key,
        };
        let message = command.message(self.channel.commands).json(body);
        wait().message(self.channel.replies, key).send(message)
    }

    /// What the reply, or its absence, makes of the step.
    pub fn settle(&self, arrival: &Arrival) -> Result<Outcome, Failure> {
        let Arrival::Message((_, reply)) = arrival else {
            let (asked, topic) = (self.asked(), self.channel.replies);
            return Err(Failure::unknown("no-reply", format!("no reply to {asked} on {topic}")));
        };
        let kind = reply.require_header(header::MESSAGE_TYPE).map_err(in_doubt)?;
        let Channel { acted, refused, undone, undo_refused, .. } = *self.channel;
        match self.task.attempt.direction {
            Direction::Forward if kind == acted => {
                let acted = body(reply)?;
                done(acted.clone()).undo(acted).into()
            }
            Direction::Forward if kind == refused => {
                let Refusal { code, reason } = reply.parse().map_err(in_doubt)?;
                Err(Failure::permanent(code, reason))
            }
            Direction::Undo if kind == undone => done(body(reply)?).into(),
            Direction::Undo if Some(kind) == undo_refused => {
                let Refusal { code, reason } = reply.parse().map_err(in_doubt)?;
                Err(Failure::retryable(code, reason))
            }
            _ => {
                let message = format!("{kind} is no reply to {}", self.asked());
                Err(Failure::unknown("unexpected-reply", message))
            }
        }
    }

    fn asked(&self) -> &str {
        match self.task.attempt.direction {
            Direction::Forward => self.channel.act,
            Direction::Undo => self.channel.undo,
        }
    }
}

/// A reply's value, which must be JSON.
fn body(reply: &Message) -> Result<Payload, Failure> {
    let value: serde_json::Value = reply.parse().map_err(in_doubt)?;
    Ok(Payload::json(&value))
}

/// A reply that cannot be read, or kept, says nothing of what the service did.
pub fn in_doubt(failure: Failure) -> Failure {
    Failure::Unknown(failure.detail().clone())
}
