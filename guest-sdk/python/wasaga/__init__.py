"""Write wasaga plugins in Python: see README.md.

A project's module `plugin` has a `Plugin` of that name; `sql`, `context`, `config`, `event_store` and `http` are
modules of their own, to be imported where the plugin's world has them.
"""

from .effects import BusinessKey, Effects
from .failure import Failure, Permanent, Retryable, Unknown
from .manifest import (
    KEY,
    Capabilities,
    Retry,
    Saga,
    Step,
    Undo,
    header,
    http_trigger,
    json_pointer,
    schedule_trigger,
    topic_trigger,
)
from .message import Message
from .outcome import Reject, Skip, child, done, message, signal, sleep, wait
from .plugin import Plugin
from .task import Arrival, DeadTask, ErrorDetail, FlowTask, Happened, StepTask

__all__ = [
    "KEY",
    "Arrival",
    "BusinessKey",
    "Capabilities",
    "DeadTask",
    "Effects",
    "ErrorDetail",
    "Failure",
    "FlowTask",
    "Happened",
    "Message",
    "Permanent",
    "Plugin",
    "Reject",
    "Retry",
    "Retryable",
    "Saga",
    "Skip",
    "Step",
    "StepTask",
    "Undo",
    "Unknown",
    "child",
    "done",
    "header",
    "http_trigger",
    "json_pointer",
    "message",
    "schedule_trigger",
    "signal",
    "sleep",
    "topic_trigger",
    "wait",
]
