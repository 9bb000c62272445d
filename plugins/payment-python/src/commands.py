"""The table `commands`: every command that the service has handled, how often, and what it answered.

One row is inserted before anything is done, so that two hosts that handle the same command take turns. An undo that
overtakes its command leaves the command's refusal in its row, and the late command finds it answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from wasaga import Message, sql

TABLE = """
create table commands (
    idempotency_key text primary key,
    kind text not null,
    order_id text not null,
    reply text,
    answer jsonb,
    handled integer not null check (handled >= 0),
    check ((reply is null) = (answer is null))
);
"""
"""`reply`, a message type, and `answer`, its value, are null while the command was only put off; a row that nobody has
`handled` is the refusal of a command that was undone before it came."""


@dataclass
class Answer:
    reply: str
    value: Any
    is_kept: bool = True
    """One that is not may be another when the command comes again."""


@dataclass
class Command:
    """A command's headers."""

    kind: str
    key: str
    correlation_id: str
    order_id: str
    reply_topic: str

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(
            kind=message.require_header("message-type"),
            key=message.require_header("idempotency-key"),
            correlation_id=message.require_header("correlation-id"),
            order_id=message.require_header("order-id"),
            reply_topic=message.require_header("reply-topic"),
        )

    def reply(self, answer: Answer) -> Message:
        headers = {
            "message-type": answer.reply,
            "correlation-id": self.correlation_id,
            "order-id": self.order_id,
        }
        return Message(self.reply_topic, key=self.order_id, headers=headers, json=answer.value)


def answer(command: Command, act: Callable[[], Answer]) -> Answer:
    """The answer that a command got before, or the one that acting on it gives."""
    row = sql.query_one(
        """insert into commands (idempotency_key, kind, order_id, handled) values ($1, $2, $3, 1)
           on conflict (idempotency_key) do update set handled = commands.handled + 1
           returning reply, answer""",
        command.key,
        command.kind,
        command.order_id,
    )
    if row["reply"] is not None:
        return Answer(row["reply"], row["answer"])
    given = act()
    if given.is_kept:
        sql.execute(
            "update commands set reply = $2, answer = $3::jsonb where idempotency_key = $1",
            command.key,
            given.reply,
            sql.Json(given.value),
        )
    return given


def forestall(key: str, kind: str, order_id: str, refusal: Answer) -> bool:
    """Answers a command that has not come yet. False: it has."""
    inserted = sql.execute(
        """insert into commands (idempotency_key, kind, order_id, reply, answer, handled)
           values ($1, $2, $3, $4, $5::jsonb, 0)
           on conflict (idempotency_key) do nothing""",
        key,
        kind,
        order_id,
        refusal.reply,
        sql.Json(refusal.value),
    )
    return inserted == 1
