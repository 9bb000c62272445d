"""Kafka records, as they come in and as they go out."""

from collections.abc import Mapping
from typing import Any, Self

from wit_world.imports import types

from . import typed
from .failure import Permanent


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


class Message:
    """A record; without a value it is a tombstone. `json` is the value as JSON, `value` as it is."""

    def __init__(
        self,
        topic: str,
        *,
        key: str | bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        json: Any = ...,
        value: str | bytes | None = None,
    ) -> None:
        self.topic = topic
        self.key = None if key is None else _bytes(key)
        self.headers = [(name, _bytes(held)) for name, held in (headers or {}).items()]
        self.value = None if value is None else _bytes(value)
        if json is not ...:
            self.value = typed.encode(json)

    def header(self, name: str, value: str | bytes) -> Self:
        """One more header; the same name may come more than once."""
        self.headers.append((name, _bytes(value)))
        return self

    def header_text(self, name: str) -> str | None:
        """The last header of this name, if it is UTF-8."""
        for candidate, value in reversed(self.headers):
            if candidate == name:
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    return None
        return None

    def require_header(self, name: str) -> str:
        """The same; a permanent failure that names the header when it is missing."""
        text = self.header_text(name)
        if text is None:
            missing = f"a record of topic {self.topic!r} has no text header {name!r}"
            raise Permanent("missing-header", missing)
        return text

    def json(self) -> Any:
        """The value as JSON; a permanent failure if there is none, or it is not JSON."""
        if self.value is None:
            raise Permanent("missing-value", f"a record of topic {self.topic!r} has no value")
        return typed.parse(self.value, self._named())

    def json_as[T](self, wanted: type[T]) -> T:
        """The value as a type; a permanent failure that says what does not fit."""
        return typed.decode(wanted, self.json(), self._named())

    def _named(self) -> str:
        return f"a record of topic {self.topic!r}"

    @classmethod
    def _lift(cls, message: types.Message) -> "Message":
        lifted = cls(message.topic, key=message.key, value=message.value)
        lifted.headers = [(header.name, header.value) for header in message.headers]
        return lifted

    def _lower(self) -> types.Message:
        headers = [types.Header(name, value) for name, value in self.headers]
        return types.Message(self.topic, self.key, headers, self.value)
