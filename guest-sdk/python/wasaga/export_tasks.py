"""The export `tasks`."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import plugin as project
import wit_world.exports as exported
from wit_world.exports import tasks
from wit_world.imports import types

from . import payload
from .attempt import attempt
from .effects import Effects
from .failure import Permanent
from .message import Message
from .task import DeadTask, ErrorDetail, FlowTask


def _fields(task: tasks.Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "attempt": task.attempt,
        "idempotency_key": task.idempotency_key,
        "deadline": datetime.datetime.fromtimestamp(task.deadline_ms / 1000, datetime.UTC),
        "traceparent": task.traceparent,
        "message": Message._lift(task.message),
    }


def _lift(task: tasks.Task) -> FlowTask:
    return FlowTask(**_fields(task))


def _lift_dead(dead: tasks.DeadTask) -> DeadTask:
    reason = dead.reason
    data = payload.lift(reason.data, "the reason's data")
    return DeadTask(**_fields(dead.task), reason=ErrorDetail(reason.code, reason.message, data))


def _handler[Handler](handlers: Mapping[str, Handler], task: FlowTask, kind: str) -> Handler:
    handler = handlers.get(task.message.topic)
    if handler is None:
        raise Permanent("not-handled", f"no {kind} for messages of topic {task.message.topic!r}")
    return handler


def _effects[Task: FlowTask](handler: Callable[[Task, Effects], None], task: Task) -> list[types.Effect]:
    effects = Effects()
    handler(task, effects)
    return effects._list


def _outbound(message: Message | None) -> tasks.Outbound:
    return tasks.Outbound_Drop() if message is None else tasks.Outbound_Publish(message._lower())


class Tasks(exported.Tasks):
    def handle_in(self, task: tasks.Task) -> list[types.Effect]:
        with attempt():
            lifted = _lift(task)
            return _effects(_handler(project.plugin._in, lifted, "handle_in"), lifted)

    def handle_out(self, task: tasks.Task) -> tasks.Outbound:
        with attempt():
            lifted = _lift(task)
            return _outbound(_handler(project.plugin._out, lifted, "handle_out")(lifted))

    def handle_dead_in(self, dead: tasks.DeadTask) -> list[types.Effect]:
        with attempt():
            lifted = _lift_dead(dead)
            return _effects(_handler(project.plugin._dead_in, lifted, "handle_dead_in"), lifted)

    def handle_dead_out(self, dead: tasks.DeadTask) -> tasks.Outbound:
        with attempt():
            lifted = _lift_dead(dead)
            return _outbound(_handler(project.plugin._dead_out, lifted, "handle_dead_out")(lifted))
