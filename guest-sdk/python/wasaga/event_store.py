"""Event-sourced aggregates, in the transaction that commits this step or task: both happen, or neither. Needs
`Capabilities(event_store=True)`."""

from collections.abc import Callable
from typing import Any

from componentize_py_types import Err
from wit_world.imports import event_store as host

from . import payload
from .failure import Failure, Retryable


def _failure(error: host.Error) -> Failure:
    match error:
        case host.Error_Conflict(value=version):
            at = f"somebody else appended: the stream is at version {version}"
            return Retryable("event-conflict", at)
        case host.Error_Other(value=message):
            return Retryable("event-store", message)


class Stream[State]:
    """An aggregate as its events left it: `apply(state, event_type, payload)` returns the next state. A snapshot is kept
    when `snapshot_every` events came after the last one."""

    def __init__(
        self,
        id: str,
        *,
        initial: State,
        apply: Callable[[State, str, Any], State],
        snapshot_every: int = 5,
    ) -> None:
        self._id = id
        self._apply = apply
        self._snapshot_every = snapshot_every
        self._stored = self._snapshot = 0
        self._recorded: list[host.Event] = []
        self.state = initial
        try:
            snapshot, events = host.load(id)
        except Err as error:
            raise _failure(error.value) from None
        if snapshot is not None:
            self.state = payload.lift(snapshot.state, "the snapshot")
            self._stored = self._snapshot = snapshot.version
        for stored in events:
            carried = payload.lift(stored.event.payload, "an event")
            self.state = apply(self.state, stored.event.event_type, carried)
            self._stored = stored.version

    @property
    def version(self) -> int:
        """How many events it has, those that were recorded included."""
        return self._stored + len(self._recorded)

    def record(self, event_type: str, carries: Any = None) -> None:
        """Something happened: it is applied now, and appended by `save`."""
        self._recorded.append(host.Event(event_type, payload.lower(carries)))
        self.state = self._apply(self.state, event_type, carries)

    def save(self) -> None:
        """Appends what was recorded. A retryable failure if somebody else appended since it was loaded."""
        if not self._recorded:
            return
        try:
            self._stored = host.append(self._id, self._stored, self._recorded)
            self._recorded = []
            if self._stored - self._snapshot >= self._snapshot_every:
                host.save_snapshot(self._id, host.Snapshot(self._stored, payload.lower(self.state)))
                self._snapshot = self._stored
        except Err as error:
            raise _failure(error.value) from None
