"""What a handler raises, as the host wants it."""

import contextlib
from collections.abc import Iterator

from componentize_py_types import Err
from wit_world.imports import types

from . import ambient, payload
from .failure import Failure, Permanent, Retryable, Unknown


def lower_detail(failure: Failure) -> types.ErrorDetail:
    return types.ErrorDetail(failure.code, failure.message, payload.lower_optional(failure.data))


def _lower(failure: Failure) -> types.Failure:
    detail = lower_detail(failure)
    if isinstance(failure, Permanent):
        return types.Failure_Permanent(detail)
    if isinstance(failure, Unknown):
        return types.Failure_Unknown(detail)
    after_ms = failure.after_ms if isinstance(failure, Retryable) else None
    return types.Failure_Retryable(types.RetryHint(detail, after_ms))


@contextlib.contextmanager
def attempt(*, is_resumed: bool = False) -> Iterator[None]:
    """Failures become the host's. Any other exception is the plugin's: nobody knows what became of what was sent before
    a wait."""
    ambient.begin()
    try:
        yield
    except Failure as failure:
        raise Err(_lower(failure)) from None
    except Exception as error:
        ambient.log_error(ambient.described(error))
        said = f"{type(error).__name__}: {error}{ambient.place(error)}"
        kind = Unknown if is_resumed else Retryable
        raise Err(_lower(kind("exception", said))) from None
