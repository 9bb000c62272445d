"""All of the SDK once: tests/tests/end_to_end/sdks.rs says what must come of it, in every language."""

from dataclasses import dataclass

from wasaga import (
    BusinessKey,
    Capabilities,
    Message,
    Permanent,
    Plugin,
    Retry,
    Saga,
    Skip,
    Step,
    Undo,
    child,
    config,
    context,
    done,
    header,
    http,
    message,
    signal,
    sleep,
    sql,
    wait,
)
from wasaga.event_store import Stream

NAME = "sdk-python"
topics = ("asks", "answers", "heard", "poison", "noise", "lost")
ASKS, ANSWERS, HEARD, POISON, NOISE, LOST = (f"{NAME}.{of}" for of in topics)

retry = Retry.fixed(10, attempts=3)
steps = [Step("ask", retry=retry, undo=Undo(retry=retry)), Step("skip", guarded=True, retry=retry)]
steps += [Step(name, retry=retry) for name in ("store", "parent", "hear", "rest", "fail")]

plugin = Plugin(
    NAME,
    "0.1.0",
    sagas=[Saga(NAME, 1, steps), Saga(f"{NAME}-child", 1, [Step("kid", retry=retry)])],
    awaits={ANSWERS: header("correlation-id")},
    migrations=[
        (
            "notes",
            "create table notes (id text primary key, n bigint, half float8, yes boolean, deep jsonb, nothing text)",
        )
    ],
    capabilities=Capabilities(
        sql=True,
        event_store=True,
        topics=[f"{NAME}.*"],
        config_keys=["greeting"],
        http_hosts=["127.0.0.1:*"],
    ),
)


@dataclass
class Input:
    n: int
    fail: str | None = None


@plugin.step("ask")
def ask(task, effects):
    n = task.input_as(Input).n
    headers = {"correlation-id": task.idempotency_key}
    effects.send(Message(ASKS, key=task.business_key, headers=headers, json={"n": n}))
    return wait(message(ANSWERS, task.idempotency_key), timeout_ms=60_000, memo={"n": n})


@ask.resume
def answered(task, effects):
    if task.arrival.name != task.idempotency_key:
        raise Permanent("other-answer", f"not for {task.arrival.name}")
    return done(task.arrival.message.json() | {"asked": task.memo["n"]}, undo="asked")


@ask.compensate
def unask(task, effects):
    return {"undone": task.undo, "direction": task.direction, "cause": context.cause().code}


@plugin.step("skip")
def skip(task, effects): ...


@skip.guard
def skips(task):
    return Skip()


def apply(total, event_type, payload):
    return total + payload if event_type == "Added" else 0


@plugin.step("store")
def store(task, effects):
    key = task.business_key
    insert = "insert into notes values ($1, $2, $3, $4, $5::jsonb, $6)"
    sql.execute(insert, key, 7, 0.5, True, sql.Json({"deep": [1]}), None)
    row = sql.query_one("select * from notes where id = $1", key)
    stream = Stream(key, initial=0, apply=apply, snapshot_every=2)
    stream.record("Added", 3)
    stream.record("Added", 4)
    stream.save()
    loaded = Stream(key, initial=0, apply=apply)
    configured = {"greeting": config.get("greeting"), "absent": config.get("x")}
    return {"row": row, "sum": loaded.state, "version": loaded.version} | configured


@plugin.step("parent")
def parent(task, effects):
    key = task.business_key
    effects.start(f"{NAME}-child", {"of": key}, business_key=f"{key}/kid", child="kid")
    return wait(child("kid"))


@parent.resume
def grown(task, effects):
    arrival = task.arrival
    return {"name": arrival.name, "status": arrival.status, "output": arrival.output}


@plugin.step("kid")
def kid(task, effects):
    effects.signal(BusinessKey(NAME, task.input["of"]), "go", {"by": "kid"})
    return "grown"


@plugin.step("hear")
def hear(task, effects):
    return wait(signal("go"), signal("other"))


@hear.resume
def heard(task, effects):
    return {"name": task.arrival.name, "payload": task.arrival.payload}


@plugin.step("rest")
def rest(task, effects):
    return sleep(10)


@rest.resume
def rested(task, effects):
    n = context.require_output("ask")["n"]
    return {"kind": task.arrival.kind, "finished": context.finished_steps(), "n": n}


@plugin.step("fail")
def fail(task, effects):
    wanted = task.input_as(Input).fail
    if wanted:
        raise Permanent("as-wanted", "it was asked for", {"why": wanted})
    if task.attempt == 1:
        raise RuntimeError("nothing")
    return {"attempt": task.attempt}


@plugin.step("call")
def call(task, effects):
    """Asks another host: runtime/crates/plugin-host/tests/plugins/http_sdks.rs says what must come of it."""
    url, timeout_ms = task.input["url"], task.input.get("timeout_ms")
    answer = http.request("POST", url, headers={"x-asked": "yes"}, json={"cents": 5}, timeout_ms=timeout_ms)
    return {"status": answer.status, "kind": answer.headers["x-kind"], "body": answer.text()}


@plugin.handle_out(ASKS)
def stamp(task):
    return task.message.header("stamp", "out")


@plugin.handle_in(ASKS)
def answer(task, effects):
    asked = task.message
    if asked.header_text("stamp") != "out":
        raise Permanent("not-stamped", "it did not go through handle_out")
    headers = {"correlation-id": asked.require_header("correlation-id")}
    effects.send(Message(ANSWERS, key=asked.key, headers=headers, json={"n": asked.json()["n"] + 1}))


def news(what):
    return Message(HEARD, key=NAME, json=what)


def tell(effects, what):
    effects.send(news(what))


@plugin.handle_in(POISON)
@plugin.handle_in(NOISE)
def swallow(task, effects):
    task.message.json()


@plugin.handle_dead_in(POISON)
def bury(dead, effects):
    tell(effects, {"dead": dead.reason.code, "topic": dead.message.topic})


@plugin.handle_out(NOISE)
def hush(task):
    return None if task.message.json() == "hush" else task.message


@plugin.handle_dead_out(LOST)
def mourn(dead):
    lost = dead.message
    return news({"lost": lost.key.decode(), "topic": lost.topic, "why": dead.reason.code})


@plugin.on_event
def hear_of(happened, effects):
    if happened.saga == NAME:
        code = happened.error.code if happened.error else None
        tell(effects, {"kind": happened.kind, "step": happened.step or None, "code": code})
