//! The table `commands`: every command a service has handled, how often, and what it answered.
//!
//! One row is inserted before anything is done, so that two hosts that handle the same command take turns. An undo
//! that overtakes its command leaves the command's refusal in its row, and the late command finds it answered.

use serde_json::Value;
use wasaga_guest::sql::{self, Json};

/// `reply`, a message type, and `answer`, its value, are null while the command was only put off; a row that nobody
/// has `handled` is the refusal of a command that was undone before it came.
pub const TABLE: &str = "
create table commands (
    idempotency_key text primary key,
    kind text not null,
    order_id text not null,
    reply text,
    answer jsonb,
    handled integer not null check (handled >= 0),
    check ((reply is null) = (answer is null))
);
";

/// What was answered: the reply's type and value.
#[derive(Debug)]
pub struct Answer {
    pub reply: String,
    pub value: Value,
}

impl Answer {
    pub fn new<T: serde::Serialize>(reply: &str, value: &T) -> Self {
        let value = serde_json::to_value(value).expect("a reply is JSON");
        Self { reply: reply.into(), value }
    }
}

/// Counts a command; its answer, if it has been given before.
pub fn command_count(key: &str, kind: &str, order_id: &str) -> Result<Option<Answer>, sql::Error> {
    let rows = sql::query(
        "insert into commands (idempotency_key, kind, order_id, handled) values ($1, $2, $3, 1)
         on conflict (idempotency_key) do update set handled = commands.handled + 1
         returning reply, answer",
        &[&key, &kind, &order_id],
    )?;
    let row = rows.one()?;
    let Some(reply) = row.get("reply")? else {
        return Ok(None);
    };
    let Json(value) = row.get("answer")?;
    Ok(Some(Answer { reply, value }))
}

/// Keeps a command's answer for when it comes again.
pub fn command_answer(key: &str, answer: &Answer) -> Result<(), sql::Error> {
    sql::execute(
        "update commands set reply = $2, answer = $3::jsonb where idempotency_key = $1",
        &[&key, &answer.reply, &Json(&answer.value)],
    )?;
    Ok(())
}

/// Answers a command that has not come yet. False: it has.
pub fn command_forestall(
    key: &str,
    kind: &str,
    order_id: &str,
    answer: &Answer,
) -> Result<bool, sql::Error> {
    let inserted = sql::execute(
        "insert into commands (idempotency_key, kind, order_id, reply, answer, handled)
         values ($1, $2, $3, $4, $5::jsonb, 0)
         on conflict (idempotency_key) do nothing",
        &[&key, &kind, &order_id, &answer.reply, &Json(&answer.value)],
    )?;
    Ok(inserted == 1)
}
