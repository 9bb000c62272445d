"""What is committed with the result of a handler, exactly once."""

from dataclasses import dataclass
from typing import Any

from wit_world.imports import types

from . import payload
from .message import Message


@dataclass
class BusinessKey:
    """A saga by its definition and business key, where its id is not known."""

    saga: str
    business_key: str


def _target(of: str | BusinessKey) -> types.SagaTarget:
    if isinstance(of, str):
        return types.SagaTarget_Id(of)
    return types.SagaTarget_BusinessKey((of.saga, of.business_key))


class Effects:
    """A handler adds to it; sagas are named by their id or a `BusinessKey`."""

    def __init__(self) -> None:
        self._list: list[types.Effect] = []

    def send(self, message: Message, *, rollback: Message | None = None) -> None:
        """Sends a message; `rollback` is published instead when it is given up."""
        instead = None if rollback is None else rollback._lower()
        self._list.append(types.Effect_Send(types.Outgoing(message._lower(), instead)))

    def start(self, saga: str, input: Any, *, business_key: str | None = None, child: str | None = None) -> None:
        """Starts a saga. Under one business key it is started once; a `child` can be waited for."""
        start = types.SagaStart(saga, business_key, payload.lower(input), child)
        self._list.append(types.Effect_Start(start))

    def signal(self, of: str | BusinessKey, name: str, carries: Any = None) -> None:
        """Sends a signal to a saga."""
        signal = types.SagaSignal(_target(of), name, payload.lower(carries))
        self._list.append(types.Effect_Signal(signal))

    def cancel(self, of: str | BusinessKey) -> None:
        """Asks a saga to turn back."""
        self._list.append(types.Effect_Cancel(_target(of)))
