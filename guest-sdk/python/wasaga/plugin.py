"""A plugin: its manifest, and its handlers."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from .effects import Effects
from .manifest import Capabilities, Locator, Saga, present
from .message import Message
from .outcome import Reject, Skip
from .task import DeadTask, FlowTask, Happened, StepTask

type StepHandler = Callable[[StepTask, Effects], Any]
type Guard = Callable[[StepTask], None | Skip | Reject]
type InHandler = Callable[[FlowTask, Effects], None]
type OutHandler = Callable[[FlowTask], Message | None]
type DeadInHandler = Callable[[DeadTask, Effects], None]
type DeadOutHandler = Callable[[DeadTask], Message | None]
type LifecycleHandler = Callable[[Happened, Effects], None]


class StepHandlers:
    """A step's handlers: `execute`, and what is added by the decorators of their names."""

    def __init__(self, execute: StepHandler) -> None:
        self._execute = execute
        self._guard: Guard | None = None
        self._resume: StepHandler | None = None
        self._compensate: StepHandler | None = None

    def guard(self, handler: Guard) -> Guard:
        """Asked before the step where it is `guarded`: None proceeds, else a `Skip` or a `Reject`."""
        self._guard = handler
        return handler

    def resume(self, handler: StepHandler) -> StepHandler:
        """After a wait, of the step or of its undo: `task.direction` tells which."""
        self._resume = handler
        return handler

    def compensate(self, handler: StepHandler) -> StepHandler:
        """Undoes the step: `task.undo` is what it kept, or None."""
        self._compensate = handler
        return handler


class Plugin:
    """`name`: a to z, 0 to 9 and `-`; `version`: semantic; `migrations`: name and SQL of what makes its tables, in order;
    `awaits`: topics whose messages answer waiting steps, and where in them the correlation key is."""

    def __init__(
        self,
        name: str,
        version: str,
        *,
        sagas: Iterable[Saga] = (),
        awaits: dict[str, Locator] | None = None,
        migrations: Iterable[tuple[str, str]] = (),
        capabilities: Capabilities | None = None,
    ) -> None:
        self._name = name
        self._version = version
        self._sagas = list(sagas)
        self._awaits = awaits or {}
        self._migrations = list(migrations)
        self._capabilities = capabilities or Capabilities()
        self._steps: dict[str, StepHandlers] = {}
        self._in: dict[str, InHandler] = {}
        self._out: dict[str, OutHandler] = {}
        self._dead_in: dict[str, DeadInHandler] = {}
        self._dead_out: dict[str, DeadOutHandler] = {}
        self._lifecycle: LifecycleHandler | None = None

    def step(self, name: str) -> Callable[[StepHandler], StepHandlers]:
        """The step of this name, of this plugin's sagas or of others'. It returns `done(…)`, `wait(…)` or its output."""

        def register(handler: StepHandler) -> StepHandlers:
            self._steps[name] = StepHandlers(handler)
            return self._steps[name]

        return register

    def handle_in(self, topic: str) -> Callable[[InHandler], InHandler]:
        """A message of this topic."""
        return self._register(self._in, topic)

    def handle_out(self, topic: str) -> Callable[[OutHandler], OutHandler]:
        """A message on its way to this topic: what is published in its place, or None."""
        return self._register(self._out, topic)

    def handle_dead_in(self, topic: str) -> Callable[[DeadInHandler], DeadInHandler]:
        """A message of this topic that was given up. Success ends the dead letter."""
        return self._register(self._dead_in, topic)

    def handle_dead_out(self, topic: str) -> Callable[[DeadOutHandler], DeadOutHandler]:
        """A message to this topic that was given up: what is published in its place, or None."""
        return self._register(self._dead_out, topic)

    def on_event(self, handler: LifecycleHandler) -> LifecycleHandler:
        """Hears what happens in the lives of this plugin's sagas."""
        self._lifecycle = handler
        return handler

    @staticmethod
    def _register[Handler](handlers: dict[str, Handler], topic: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            handlers[topic] = handler
            return handler

        return register

    def _describe(self) -> str:
        subscriptions: list[dict[str, Any]] = [{"topic": topic} for topic in self._in]
        for topic, correlation in self._awaits.items():
            subscriptions.append({"topic": topic, "correlation": correlation})
        numbered = enumerate(self._migrations, start=1)
        manifest = present(
            name=self._name,
            version=self._version,
            sagas=[saga._json() for saga in self._sagas],
            steps=list(self._steps),
            subscriptions=subscriptions,
            out_topics=list(self._out),
            dead_in_topics=list(self._dead_in),
            dead_out_topics=list(self._dead_out),
            migrations=[{"version": version, "name": name, "up": up} for version, (name, up) in numbered],
            capabilities=self._capabilities._json(),
        )
        return json.dumps(manifest)
