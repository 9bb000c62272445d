"""JSON in and out of the host's payloads."""

from typing import Any

from wit_world.imports import types

from . import typed

_JSON = "application/json"


def lower(value: Any) -> types.Payload:
    return types.Payload(_JSON, typed.encode(value))


def lower_optional(value: Any) -> types.Payload | None:
    return None if value is None else lower(value)


def lift(payload: types.Payload | None, what: str) -> Any:
    return None if payload is None else typed.parse(payload.data, what)
