"""What the running saga has done so far. Only steps may ask."""

from typing import Any

from wit_world.imports import context as host

from . import payload
from .failure import Permanent
from .task import ErrorDetail


def finished_steps() -> list[str]:
    """Their names, in the order in which they finished."""
    return host.finished_steps()


def output(step: str) -> Any:
    """What this step returned; None if it is not done."""
    return payload.lift(host.output(step), f"the output of step {step!r}")


def require_output(step: str) -> Any:
    """The same; a permanent failure if it is not done."""
    found = host.output(step)
    if found is None:
        raise Permanent("step-not-done", f"step {step!r} of this saga has no output")
    return payload.lift(found, f"the output of step {step!r}")


def cause() -> ErrorDetail | None:
    """Why the saga is being undone; None while it goes forward."""
    why = host.cause()
    return None if why is None else ErrorDetail(why.code, why.message, payload.lift(why.data, "its data"))
