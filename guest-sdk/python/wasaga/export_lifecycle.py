"""The export `lifecycle`."""

import plugin as project
import wit_world.exports as exported
from wit_world.exports import lifecycle
from wit_world.imports import types

from . import payload
from .attempt import attempt
from .effects import Effects
from .export_steps import lift_detail
from .task import Happened


def _lift(saga_id: str, saga: str, event_id: str, event: lifecycle.Event) -> Happened:
    of = (saga_id, saga, event_id)
    match event:
        case lifecycle.Event_Started():
            return Happened(*of, "started")
        case lifecycle.Event_StepSucceeded(value=step):
            return Happened(*of, "step-succeeded", step)
        case lifecycle.Event_StepFailed(value=(step, error)):
            return Happened(*of, "step-failed", step, error=lift_detail(error))
        case lifecycle.Event_StepCompensated(value=step):
            return Happened(*of, "step-compensated", step)
        case lifecycle.Event_Completed(value=output):
            return Happened(*of, "completed", output=payload.lift(output, "the saga's output"))
        case lifecycle.Event_Failed(value=error):
            return Happened(*of, "failed", error=lift_detail(error))
        case lifecycle.Event_Compensated(value=error):
            return Happened(*of, "compensated", error=lift_detail(error))
        case lifecycle.Event_NeedsAttention(value=error):
            return Happened(*of, "needs-attention", error=lift_detail(error))


class Lifecycle(exported.Lifecycle):
    def on_event(self, saga_id: str, saga: str, event_id: str, event: lifecycle.Event) -> list[types.Effect]:
        with attempt():
            effects = Effects()
            if project.plugin._lifecycle is not None:
                project.plugin._lifecycle(_lift(saga_id, saga, event_id, event), effects)
            return effects._list
