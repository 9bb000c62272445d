"""A saga of two steps. Nobody is greeted who is called `nobody`: then the first step is undone."""

import datetime
import uuid
from dataclasses import dataclass

from wasaga import Effects, Permanent, Plugin, Retry, Saga, Step, StepTask, Undo, done, http_trigger

retry = Retry.exponential(200, 2.0, 10_000, attempts=5)

plugin = Plugin(
    "{{name}}",
    "0.1.0",
    sagas=[
        Saga(
            "{{name}}",
            1,
            steps=[Step("write", retry=retry, undo=Undo()), Step("say", retry=retry)],
            triggers=[http_trigger("/api/v1/greetings/{{name}}", "greeting_id")],
            input_schema={
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string", "minLength": 1}},
            },
        )
    ],
)


@dataclass
class Greeting:
    name: str


@plugin.step("write")
def write(task: StepTask, effects: Effects):
    greeting = task.input_as(Greeting)
    return done({"card": f"Hello, {greeting.name}!"}, undo=greeting)


@write.compensate
def tear_up(task: StepTask, effects: Effects):
    name = task.undo["name"] if task.undo else "somebody"
    print(f"the card for {name} is torn up")


@plugin.step("say")
def say(task: StepTask, effects: Effects):
    name = task.input_as(Greeting).name
    if name == "nobody":
        raise Permanent("nobody-there", "there is nobody to greet")
    # Time and chance are the host's. An output has neither: the step returns the same when it runs again.
    at = datetime.datetime.now(datetime.UTC).isoformat()
    print(f"{name} is greeted at {at}, number {uuid.uuid4()}")
    return {"said_to": name}
