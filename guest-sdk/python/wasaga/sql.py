"""SQL inside the transaction that commits this step or task: both happen, or neither. Needs `Capabilities(sql=True)`."""

import datetime
import decimal
import json
import uuid
from dataclasses import dataclass
from typing import Any

from componentize_py_types import Err
from wit_world.imports import sql as host

from . import typed
from .failure import Failure, Permanent, Retryable

type Row = dict[str, Any]


@dataclass
class Json:
    """A parameter for `json` and `jsonb`."""

    value: Any


def _lower(value: Any) -> host.Value:
    match value:
        case None:
            return host.Value_Null()
        case bool():
            return host.Value_Boolean(value)
        case int():
            return host.Value_Int64(value)
        case float():
            return host.Value_Float64(value)
        case str():
            return host.Value_Text(value)
        case bytes():
            return host.Value_Bytes(value)
        case decimal.Decimal():
            return host.Value_Numeric(str(value))
        case uuid.UUID():
            return host.Value_Uuid(str(value))
        case Json():
            return host.Value_Json(typed.encode(value.value).decode())
        case datetime.datetime():
            return host.Value_Timestamp(value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z"))
    raise TypeError(f"{type(value).__name__} is no SQL value: use Json, or one of Python's own types")


def _lift(value: host.Value) -> Any:
    match value:
        case host.Value_Null():
            return None
        case host.Value_Numeric(value=text):
            return decimal.Decimal(text)
        case host.Value_Uuid(value=text):
            return uuid.UUID(text)
        case host.Value_Json(value=text):
            return json.loads(text)
        case host.Value_Timestamp(value=text):
            return datetime.datetime.fromisoformat(text)
        case _:
            return value.value


def _failure(error: host.Error) -> Failure:
    """What another attempt cannot change (bad data, a wrong or forbidden statement) is permanent."""
    kind = Permanent if error.code[:2] in ("0A", "22", "42") else Retryable
    return kind(f"sql-{error.code}", error.message)


def query(statement: str, *parameters: Any) -> list[Row]:
    """The rows of a statement, by the names of their columns."""
    try:
        answer = host.query(statement, [_lower(parameter) for parameter in parameters])
    except Err as error:
        raise _failure(error.value) from None
    names = [column.name for column in answer.columns]
    return [dict(zip(names, map(_lift, row), strict=True)) for row in answer.rows]


def query_one(statement: str, *parameters: Any) -> Row | None:
    """The one row, or None; a permanent failure when there are more."""
    rows = query(statement, *parameters)
    if len(rows) > 1:
        raise Permanent("sql-P0003", f"the query returned {len(rows)} rows, not one")
    return rows[0] if rows else None


def execute(statement: str, *parameters: Any) -> int:
    """Runs a statement, and says how many rows it touched."""
    try:
        return host.execute(statement, [_lower(parameter) for parameter in parameters])
    except Err as error:
        raise _failure(error.value) from None
