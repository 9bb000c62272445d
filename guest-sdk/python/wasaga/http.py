"""HTTP out, to granted hosts; needs `Capabilities(http_hosts=…)`. The host adds the idempotency key and the trace headers."""

import json as json_text
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from componentize_py_types import Err
from wit_world.imports import http as host
from wit_world.imports import types

from . import typed
from .failure import Failure, Permanent, Retryable, Unknown


@dataclass
class Response:
    """An answer; its headers by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json_text.loads(self.body)


def _failure(error: host.Error) -> Failure:
    match error:
        case host.Error_Denied(value=why):
            return Permanent("http-denied", why)
        case host.Error_NotSent(value=why):
            return Retryable("http-not-sent", why)
        case host.Error_MaybeSent(value=why):
            return Unknown("http-maybe-sent", why)
        case host.Error_TooLarge(value=limit):
            told = f"the answer has more than {limit} bytes (plugins.guest_limits.http_response_bytes)"
            return Unknown("http-too-large", told)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: Any = ...,
    body: bytes | None = None,
    timeout_ms: int | None = None,
) -> Response:
    """Sends a request, and returns the answer; `json` is the body as JSON."""
    named = dict(headers or {})
    if json is not ...:
        body = typed.encode(json)
        named.setdefault("content-type", "application/json")
    sent = [types.Header(name, value.encode()) for name, value in named.items()]
    try:
        answer = host.send(host.Request(method, url, sent, body, timeout_ms))
    except Err as error:
        raise _failure(error.value) from None
    received = {header.name.lower(): header.value.decode() for header in answer.headers}
    return Response(answer.status, received, answer.body)
