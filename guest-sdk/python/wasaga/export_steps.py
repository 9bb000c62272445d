"""The export `steps`."""

import datetime
from typing import Any

import plugin as project
import wit_world.exports as exported
from wit_world.exports import steps
from wit_world.imports import types

from . import payload
from .attempt import attempt, lower_detail
from .effects import Effects
from .failure import Failure, Permanent, Unknown
from .message import Message
from .outcome import Done, Reject, Skip, Source, Wait
from .plugin import StepHandler, StepHandlers
from .task import Arrival, ErrorDetail, StepTask


def lift_detail(detail: types.ErrorDetail | None) -> ErrorDetail | None:
    if detail is None:
        return None
    return ErrorDetail(detail.code, detail.message, payload.lift(detail.data, "the error's data"))


def _lift(task: steps.Task) -> StepTask:
    at = task.attempt
    return StepTask(
        saga_id=at.saga_id,
        saga=at.saga,
        definition_version=at.definition_version,
        business_key=at.saga_id if at.business_key is None else at.business_key,
        step=at.step,
        direction="forward" if at.direction == types.Direction.FORWARD else "undo",
        attempt=at.number,
        idempotency_key=at.idempotency_key,
        forward_key=at.forward_key,
        deadline=datetime.datetime.fromtimestamp(at.deadline_ms / 1000, datetime.UTC),
        traceparent=at.traceparent,
        input=payload.lift(task.input, "the saga's input"),
    )


def _lift_arrival(arrival: steps.Arrival) -> Arrival:
    match arrival:
        case steps.Arrival_Message(value=(correlation, message)):
            return Arrival("message", correlation, message=Message._lift(message))
        case steps.Arrival_Signal(value=(name, carried)):
            return Arrival("signal", name, payload=payload.lift(carried, "the signal's payload"))
        case steps.Arrival_Child(value=(name, end)):
            output = payload.lift(end.output, "the child's output")
            error = lift_detail(end.error)
            return Arrival(
                "child", name, saga_id=end.saga_id, status=end.status, output=output, error=error
            )
        case _:
            return Arrival("timed-out")


def _lower_source(source: Source) -> steps.WaitSource:
    match source.kind:
        case "message":
            return steps.WaitSource_Message(steps.AwaitedMessage(source.name, source.correlation))
        case "signal":
            return steps.WaitSource_Signal(source.name)
        case _:
            return steps.WaitSource_Child(source.name)


def _lower(returned: Any, effects: Effects) -> steps.Outcome:
    """What is no outcome is the output."""
    if isinstance(returned, Wait):
        sources = [_lower_source(source) for source in returned.sources]
        undo, memo = payload.lower_optional(returned.undo), payload.lower_optional(returned.memo)
        return steps.Outcome_Wait(steps.Wait(sources, returned.timeout_ms, effects._list, undo, memo))
    ended = returned if isinstance(returned, Done) else Done(returned, None)
    undo = payload.lower_optional(ended.undo)
    return steps.Outcome_Done(steps.Done(payload.lower(ended.output), undo, effects._list))


def _handlers(task: StepTask) -> StepHandlers:
    handlers = project.plugin._steps.get(task.step)
    if handlers is None:
        raise Permanent("unknown-step", f"this plugin has no step {task.step!r}")
    return handlers


def _call(handler: StepHandler | None, task: StepTask, kind: str, missing: type[Failure]) -> steps.Outcome:
    if handler is None:
        raise missing(f"no-{kind}", f"step {task.step!r} does not {kind}")
    effects = Effects()
    return _lower(handler(task, effects), effects)


class Steps(exported.Steps):
    def guard(self, task: steps.Task) -> steps.Verdict:
        with attempt():
            lifted = _lift(task)
            guard = _handlers(lifted)._guard
            match guard(lifted) if guard else None:
                case Skip():
                    return steps.Verdict_Skip()
                case Reject(code=code, message=message, data=data):
                    return steps.Verdict_Reject(lower_detail(Failure(code, message, data)))
                case _:
                    return steps.Verdict_Proceed()

    def execute(self, task: steps.Task) -> steps.Outcome:
        with attempt():
            lifted = _lift(task)
            return _call(_handlers(lifted)._execute, lifted, "execute", Permanent)

    def resume(
        self,
        task: steps.Task,
        memo: types.Payload | None,
        undo: types.Payload | None,
        arrival: steps.Arrival,
    ) -> steps.Outcome:
        with attempt(is_resumed=True):
            lifted = _lift(task)
            lifted.memo = payload.lift(memo, "the memo")
            lifted.undo = payload.lift(undo, "the undo data")
            lifted.arrival = _lift_arrival(arrival)
            return _call(_handlers(lifted)._resume, lifted, "resume", Unknown)

    def compensate(self, task: steps.Task, undo: types.Payload | None) -> steps.Outcome:
        with attempt():
            lifted = _lift(task)
            lifted.undo = payload.lift(undo, "the undo data")
            return _call(_handlers(lifted)._compensate, lifted, "compensate", Permanent)
