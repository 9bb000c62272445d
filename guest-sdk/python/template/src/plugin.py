"""A saga of two steps. Nobody is greeted who is called `nobody`: then the first step is undone."""

import datetime
import uuid

from payloads import GREETING_SCHEMA, Greeting
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
            input_schema=GREETING_SCHEMA,
        )
    ],
)


@plugin.step("write")
def write(task: StepTask, effects: Effects):
    greeting = task.input_as(Greeting)
    card = f"Good day, {greeting.name}." if greeting.style == "formal" else f"Hello, {greeting.name}!"
    return done({"card": card}, undo=greeting)


@write.compensate
def tear_up(task: StepTask, effects: Effects):
    written = task.undo_as(Greeting)
    print(f"the card for {written.name if written else 'somebody'} is torn up")


@plugin.step("say")
def say(task: StepTask, effects: Effects):
    name = task.input_as(Greeting).name
    if name == "nobody":
        raise Permanent("nobody-there", "there is nobody to greet")
    # Time and chance are the host's. An output has neither: the step returns the same when it runs again.
    at = datetime.datetime.now(datetime.UTC).isoformat()
    print(f"{name} is greeted at {at}, number {uuid.uuid4()}")
    return {"said_to": name}
