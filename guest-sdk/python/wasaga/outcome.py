"""How a step ends, when it does not fail; and what a guard answers."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Done:
    output: Any
    undo: Any


@dataclass
class Source:
    kind: str
    name: str
    correlation: str = ""


@dataclass
class Wait:
    sources: list[Source]
    timeout_ms: int | None
    undo: Any
    memo: Any


@dataclass
class Skip:
    """A guard returns it to pass over its step."""


@dataclass
class Reject:
    """A guard returns it to fail the saga."""

    code: str
    message: str
    data: Any = field(default=None)


def done(output: Any = None, *, undo: Any = None) -> Done:
    """The step is done: what later steps and the saga's reader see, and what its undo needs to know."""
    return Done(output, undo)


def wait(*sources: Source, timeout_ms: int | None = None, undo: Any = None, memo: Any = None) -> Wait:
    """Waits, without holding anything, for the first of the sources. `memo` is handed back to `resume`."""
    return Wait(list(sources), timeout_ms, undo, memo)


def sleep(timeout_ms: int, *, undo: Any = None, memo: Any = None) -> Wait:
    """Waits for time to pass."""
    return Wait([], timeout_ms, undo, memo)


def message(topic: str, correlation: str) -> Source:
    """The next message of a topic with this correlation key; one that came early counts."""
    return Source("message", topic, correlation)


def signal(name: str) -> Source:
    """The next signal of this name."""
    return Source("signal", name)


def child(name: str) -> Source:
    """The end of the child of this name."""
    return Source("child", name)
