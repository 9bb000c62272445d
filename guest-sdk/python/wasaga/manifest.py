"""What a plugin says of itself: typed builders for wit/manifest.schema.json. What is not set is left out."""

from dataclasses import dataclass, field
from typing import Any, Literal

Locator = str | dict[str, str]
Trigger = dict[str, Any]
Json = dict[str, Any]

KEY: Locator = "key"
"""The key of a record."""


def header(name: str) -> Locator:
    """A header of this name."""
    return {"header": name}


def json_pointer(pointer: str) -> Locator:
    """A place in the JSON value, as `/order/id`."""
    return {"json_pointer": pointer}


def present(**fields: Any) -> Json:
    """What is neither None, False nor empty."""
    return {name: value for name, value in fields.items() if value not in (None, False, [], {})}


def http_trigger(path: str, key_name: str, message: str | None = None) -> Trigger:
    """A POST to this path. The field `key_name` of its body is the business key."""
    return {"http": present(path=path, key_name=key_name, message=message)}


def topic_trigger(topic: str, business_key: Locator) -> Trigger:
    """A record of this topic."""
    return {"topic": {"topic": topic, "business_key": business_key}}


def schedule_trigger(
    cron: str, *, misfire: Literal["skip", "once", "all"] | None = None, input: Any = None
) -> Trigger:
    """The times of a cron expression, UTC: `0 3 * * *` is each night at three."""
    return {"schedule": present(cron=cron, misfire=misfire, input=input)}


@dataclass
class Retry:
    """When to try again; use `never`, `fixed` or `exponential`. `attempts` counts the first; None: without end."""

    policy: Json

    @classmethod
    def never(cls) -> "Retry":
        """Once, and no more."""
        return cls({"never": {}})

    @classmethod
    def fixed(cls, delay_ms: int, *, attempts: int | None = None) -> "Retry":
        """After the same delay each time."""
        return cls({"fixed": {"delay_ms": delay_ms} | present(max_attempts=attempts)})

    @classmethod
    def exponential(
        cls,
        initial_ms: int,
        multiplier: float,
        max_delay_ms: int,
        *,
        attempts: int | None = None,
        jitter: float = 0.0,
    ) -> "Retry":
        """After a delay that grows, and of which chance takes the part `jitter` away."""
        delays = {"initial_ms": initial_ms, "multiplier": multiplier, "max_delay_ms": max_delay_ms}
        return cls({"exponential": delays | present(max_attempts=attempts) | {"jitter": jitter}})


@dataclass
class Undo:
    """How a step is undone: five attempts by default; then the saga asks for an operator, unless it shall `go_on`."""

    retry: Retry = field(default_factory=lambda: Retry.exponential(200, 2.0, 10_000, attempts=5))
    timeout_ms: int = 30_000
    go_on: bool = False

    def _json(self) -> Json:
        on_failure = "go_on" if self.go_on else "needs_attention"
        return {"retry": self.retry.policy, "timeout_ms": self.timeout_ms, "on_failure": on_failure}


@dataclass
class Step:
    """One step of a definition."""

    name: str
    worker: str | None = None
    """The plugin that runs it, when it is not this one."""
    after: list[str] | None = None
    """Its predecessors, when they are not the step before it; empty: it starts at once."""
    guarded: bool = False
    """Ask its guard first."""
    timeout_ms: int = 30_000
    """The bound of an attempt, its wait included unless the wait names its own."""
    retry: Retry = field(default_factory=Retry.never)
    undo: Undo | None = None
    pivot: bool = False
    """Past it the saga only goes forward."""

    def _json(self) -> Json:
        compensation = "none" if self.undo is None else {"undo": self.undo._json()}
        after = {} if self.after is None else {"after": self.after}
        policies = {"timeout_ms": self.timeout_ms, "retry": self.retry.policy, "compensation": compensation}
        named = present(name=self.name, worker=self.worker, guarded=self.guarded, pivot=self.pivot)
        return named | after | policies


@dataclass
class Saga:
    """A saga definition. One of the same name and version never changes its content."""

    name: str
    version: int
    steps: list[Step]
    triggers: list[Trigger] = field(default_factory=list)
    deadline_ms: int | None = None
    """From the start to its undoing."""
    input_schema: Json | None = None
    """JSON Schema: a start whose input does not fit is refused at the door."""
    lifecycle_topic: str | None = None
    """Where its life is published."""
    pin_workers: bool = False
    """Sagas keep the code that they started with."""

    def _json(self) -> Json:
        return {"name": self.name, "version": self.version} | present(
            steps=[step._json() for step in self.steps],
            triggers=self.triggers,
            deadline_ms=self.deadline_ms,
            input_schema=self.input_schema,
            lifecycle_topic=self.lifecycle_topic,
            pin_workers=self.pin_workers,
        )


@dataclass
class Capabilities:
    """What a plugin asks for; what it gets is the operator's grant."""

    sql: bool = False
    """SQL in its own schema."""
    event_store: bool = False
    """Event-sourced aggregates."""
    http_hosts: list[str] = field(default_factory=list)
    """Hosts it calls; `*.example.com` covers subdomains."""
    topics: list[str] = field(default_factory=list)
    """Topics it sends to; `orders.*` covers a prefix."""
    config_keys: list[str] = field(default_factory=list)
    """Keys of the configuration that it reads."""
    secrets: list[str] = field(default_factory=list)
    """Secrets that it reads, as configuration."""

    def _json(self) -> Json:
        return present(**vars(self))
