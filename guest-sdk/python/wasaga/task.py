"""What handlers are given."""

import datetime
from dataclasses import dataclass
from typing import Any, Literal

from . import typed
from .message import Message


@dataclass
class ErrorDetail:
    code: str
    message: str
    data: Any = None


@dataclass
class Arrival:
    """What ended a wait. `name` is the correlation key, the signal's or the child's."""

    kind: Literal["message", "signal", "child", "timed-out"]
    name: str = ""
    message: Message | None = None
    payload: Any = None
    """A signal's."""
    saga_id: str = ""
    """A child's, as what follows."""
    status: str = ""
    output: Any = None
    error: ErrorDetail | None = None


@dataclass
class StepTask:
    """An attempt of a step."""

    saga_id: str
    saga: str
    definition_version: int
    business_key: str
    """The saga's id when it was started without one."""
    step: str
    direction: Literal["forward", "undo"]
    attempt: int
    """From 1."""
    idempotency_key: str
    """The same for every attempt of this step in this direction: hand it to whatever you call."""
    forward_key: str
    """The forward attempts' key: what an undo undoes."""
    deadline: datetime.datetime
    traceparent: str | None
    """W3C trace context."""
    input: Any
    """The saga's input."""
    undo: Any = None
    """In the undo and in `resume`: what the step kept; None where it ended unknown before it had returned any."""
    memo: Any = None
    """In `resume`: what the wait kept."""
    arrival: Arrival | None = None
    """In `resume`: what ended the wait."""

    def input_as[T](self, wanted: type[T]) -> T:
        """The saga's input as a type; a permanent failure that says what does not fit."""
        return typed.decode(wanted, self.input, "the saga's input")

    def undo_as[T](self, wanted: type[T]) -> T | None:
        """What the step kept, as a type; None where it kept nothing."""
        return None if self.undo is None else typed.decode(wanted, self.undo, "the undo data")

    def memo_as[T](self, wanted: type[T]) -> T | None:
        """What the wait kept, as a type; None where it kept nothing."""
        return None if self.memo is None else typed.decode(wanted, self.memo, "the memo")


@dataclass
class FlowTask:
    """A message to handle."""

    id: str
    attempt: int
    idempotency_key: str
    deadline: datetime.datetime
    traceparent: str | None
    message: Message


@dataclass
class DeadTask(FlowTask):
    """A message that was given up, and why."""

    reason: ErrorDetail


@dataclass
class Happened:
    """What happened in the life of a saga that this plugin defines."""

    saga_id: str
    saga: str
    event_id: str
    """The same however often the event is handed over."""
    kind: Literal[
        "started",
        "step-succeeded",
        "step-failed",
        "step-compensated",
        "completed",
        "failed",
        "compensated",
        "needs-attention",
    ]
    step: str = ""
    output: Any = None
    error: ErrorDetail | None = None
