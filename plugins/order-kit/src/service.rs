//! How a service answers a command: once, and with the same answer however often it is asked.

use serde::{Serialize, de::DeserializeOwned};
use wasaga_guest::{
    failure::Failure,
    manifest::{Capabilities, Manifest},
    message::{Effect, send},
    sql,
    task::FlowTask,
};

use crate::{
    body::{Act, Refusal, Undo, Undone},
    channel::{Channel, Command},
    ledger::{self, Answer},
};

/// What a service does, without the repetitions and the overtaking.
pub trait Service {
    /// What it is asked in, and answers in.
    const CHANNEL: Channel;
    /// What it needs besides the order and the customer.
    type What: DeserializeOwned;
    /// What it says when it has acted.
    type Acted: Serialize;

    /// Acts, under this key; or refuses for good.
    fn act(
        key: &str,
        command: &Act<Self::What>,
    ) -> Result<Result<Self::Acted, Refusal>, sql::Error>;

    /// Undoes whatever was done under this key, and says if anything was; or refuses for now.
    fn undo(key: &str) -> Result<Result<bool, Refusal>, sql::Error>;
}

/// The manifest of a service with these tables of its own.
pub fn manifest<S: Service>(name: &str, version: &str, tables: &str) -> Manifest {
    let Channel { commands, replies, .. } = S::CHANNEL;
    Manifest::new(name, version)
        .handles(commands)
        .migration("commands", ledger::TABLE)
        .migration("tables", tables)
        .capabilities(Capabilities::new().sql().topic(replies))
}

/// Handles a command, new or known, and replies to it.
pub fn handle<S: Service>(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
    let channel = &S::CHANNEL;
    let command = Command::of(&task.message)?;
    if command.kind == channel.act {
        let body: Act<S::What> = task.message.parse()?;
        let answer = act::<S>(&command, &body)?;
        let silent = body.customer_id.starts_with(channel.silent);
        Ok(if silent { Vec::new() } else { reply(&command, &answer) })
    } else if command.kind == channel.undo {
        let _: Undo = task.message.parse()?;
        Ok(reply(&command, &undo::<S>(&command)?))
    } else {
        let (topic, Channel { act, undo, .. }) = (&task.message.topic, channel);
        let message = format!(
            "a record of topic {topic:?} has message-type {:?}: it must be {act} or {undo}",
            command.kind
        );
        Err(Failure::permanent("unknown-command", message))
    }
}

fn act<S: Service>(command: &Command<'_>, body: &Act<S::What>) -> Result<Answer, sql::Error> {
    let key = command.idempotency_key;
    if let Some(answer) = ledger::command_count(key, command.kind, command.order_id)? {
        return Ok(answer);
    }
    let answer = match S::act(key, body)? {
        Ok(acted) => Answer::new(S::CHANNEL.acted, &acted),
        Err(refusal) => Answer::new(S::CHANNEL.refused, &refusal),
    };
    ledger::command_answer(key, &answer)?;
    Ok(answer)
}

fn undo<S: Service>(command: &Command<'_>) -> Result<Answer, Failure> {
    let Channel { act, refused, undo, undone, undo_refused, .. } = S::CHANNEL;
    let Command { idempotency_key: key, order_id, .. } = *command;
    let forward_key = command.forward_key.ok_or_else(|| {
        let message = format!("{undo} needs the header forward-key: what it undoes");
        Failure::permanent("missing-header", message)
    })?;
    if let Some(answer) = ledger::command_count(key, undo, order_id)? {
        return Ok(answer);
    }
    let too_late = Refusal::new("already-undone", format!("{undo} came before this {act}"));
    let too_late = Answer::new(refused, &too_late);
    let had_acted = if ledger::command_forestall(forward_key, act, order_id, &too_late)? {
        Ok(false)
    } else {
        S::undo(forward_key)?
    };
    match had_acted {
        Ok(had_acted) => {
            let answer = Answer::new(undone, &Undone { order_id: order_id.into(), had_acted });
            ledger::command_answer(key, &answer)?;
            Ok(answer)
        }
        // Not kept: the same command may succeed when it comes again.
        Err(refusal) => {
            let reply = undo_refused.expect("only a channel with this reply has such a refusal");
            Ok(Answer::new(reply, &refusal))
        }
    }
}

fn reply(command: &Command<'_>, answer: &Answer) -> Vec<Effect> {
    vec![send(command.reply(&answer.reply).json(&answer.value))]
}
