"""JSON in and out of Python's types: dataclasses, lists, dicts, literals, optionals and what JSON has itself.

The metadata of a dataclass's field may say its name in JSON, `json`, and that it is left out when it is None, `optional`.
"""

import dataclasses
import datetime
import decimal
import json
import types
import typing
import uuid
from collections.abc import Iterator
from typing import Any

from .failure import Permanent


def encode(value: Any) -> bytes:
    """The JSON of a value, which may hold dataclasses, dates, decimals and UUIDs."""
    return json.dumps(value, default=_default, separators=(",", ":"), ensure_ascii=False).encode()


def _default(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dict(_held(value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if held is not None or not field.metadata.get("optional"):
            yield _name(field), held


def _name(field: dataclasses.Field) -> str:
    return field.metadata.get("json", field.name)


def parse(data: bytes, what: str) -> Any:
    """The value of a JSON text; a permanent failure if it is none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise Permanent("undecodable-json", f"{what} is not JSON: {error}") from error


def decode[T](wanted: type[T], value: Any, what: str) -> T:
    """A JSON value as a type; a permanent failure that says what does not fit, and where."""
    try:
        return _decode(wanted, value, "")
    except ValueError as error:
        raise Permanent("undecodable-json", f"{what} is no {wanted.__name__}: {error}") from error


def _decode(wanted: Any, value: Any, at: str) -> Any:
    if wanted is Any:
        return value
    if dataclasses.is_dataclass(wanted):
        return _decode_dataclass(wanted, value, at)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value, at)
    if origin is typing.Literal:
        if any(value == one and type(value) is type(one) for one in arguments):
            return value
        raise ValueError(f"{at or '/'} must be one of {', '.join(map(str, arguments))}")
    if origin is list and isinstance(value, list):
        return [_decode(arguments[0], element, f"{at}/{place}") for place, element in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: _decode(arguments[1], held, f"{at}/{name}") for name, held in value.items()}
    plain = origin or wanted
    if plain is float and type(value) is int:
        return float(value)
    # JSON may write 2 as 2.0.
    if plain is int and type(value) is float and value.is_integer():
        return int(value)
    if plain in (list, dict, str) and isinstance(value, plain) or type(value) is plain:
        return value
    raise ValueError(f"{at or '/'} must be {getattr(plain, '__name__', plain)}")


def _decode_dataclass(wanted: Any, value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{at or '/'} must be an object")
    hints = typing.get_type_hints(wanted)
    found = {}
    for field in dataclasses.fields(wanted):
        name = _name(field)
        if name in value:
            found[field.name] = _decode(hints[field.name], value[name], f"{at}/{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{at}/{name} is missing")
    return wanted(**found)


def _decode_union(wanted: Any, value: Any, at: str) -> Any:
    if value is None and type(None) in wanted:
        return None
    faults = []
    for one in wanted:
        if one is not type(None):
            try:
                return _decode(one, value, at)
            except ValueError as fault:
                faults.append(str(fault))
    raise ValueError(" or ".join(faults))
