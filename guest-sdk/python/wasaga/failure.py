"""Why an attempt did not end well, by what has to follow. Raise one of them."""

from typing import Any


class Failure(Exception):
    """`code` is short and stable, as "payment-declined"; `message` is a sentence for the operator; `data` is JSON."""

    def __init__(self, code: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Retryable(Failure):
    """This attempt did nothing: try again under the step's policy, and not before `after_ms`."""

    def __init__(self, code: str, message: str, data: Any = None, *, after_ms: int | None = None) -> None:
        super().__init__(code, message, data)
        self.after_ms = after_ms


class Permanent(Failure):
    """The effect has certainly not happened and never will: no retry, no undo of this step."""


class Unknown(Failure):
    """The effect may have happened: retried under the policy, and undone when the saga fails."""
