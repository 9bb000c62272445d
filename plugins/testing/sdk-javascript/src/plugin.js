// All of the SDK once: tests/tests/end_to_end/sdks.rs says what must come of it, in every language.

import {
  DROP, Message, Permanent, SKIP, Stream, child, config, context, definePlugin, done, http, message, signal, sleep, sql,
  wait,
} from "wasaga-guest";

const NAME = "sdk-javascript";
const topic = (of) => `${NAME}.${of}`;
const [ASKS, ANSWERS, HEARD, POISON, NOISE, LOST] = ["asks", "answers", "heard", "poison", "noise", "lost"].map(topic);

const ask = {
  execute({ input, idempotencyKey, businessKey }, effects) {
    const headers = { "correlation-id": idempotencyKey };
    effects.send(new Message(ASKS, { key: businessKey, headers, json: { n: input.n } }));
    return wait(message(ANSWERS, idempotencyKey), { timeoutMs: 60_000, memo: { n: input.n } });
  },
  resume({ memo, arrival, idempotencyKey }) {
    const { correlation } = arrival;
    if (correlation !== idempotencyKey) throw new Permanent("other-answer", `not for ${correlation}`);
    return done({ ...arrival.message.json(), asked: memo.n }, { undo: "asked" });
  },
  compensate({ undo, direction }) {
    return { undone: undo, direction, cause: context.cause().code };
  },
};

const skip = { guard: () => SKIP };

const apply = (sum, type, payload) => (type === "Added" ? sum + payload : 0);

const store = {
  execute({ businessKey }) {
    const insert = "insert into notes values ($1, $2, $3, $4, $5::jsonb, $6)";
    sql.execute(insert, businessKey, 7, 0.5, true, sql.json({ deep: [1] }), null);
    const row = sql.queryOne("select * from notes where id = $1", businessKey);
    const stream = new Stream(businessKey, { initial: 0, apply, snapshotEvery: 2 });
    stream.record("Added", 3);
    stream.record("Added", 4);
    stream.save();
    const { state, version } = new Stream(businessKey, { initial: 0, apply });
    return { row, sum: state, version, greeting: config.configured("greeting"), absent: config.configured("x") ?? null };
  },
};

const parent = {
  execute({ businessKey }, effects) {
    effects.start(`${NAME}-child`, { of: businessKey }, { businessKey: `${businessKey}/kid`, child: "kid" });
    return wait([child("kid")]);
  },
  resume({ arrival: { name, status, output } }) {
    return { name, status, output };
  },
};

const kid = {
  execute({ input: { of } }, effects) {
    effects.signal({ saga: NAME, businessKey: of }, "go", { by: "kid" });
    return "grown";
  },
};

const hear = {
  execute: () => wait([signal("go"), signal("other")]),
  resume: ({ arrival: { name, payload } }) => ({ name, payload }),
};

const rest = {
  execute: () => sleep(10),
  resume: ({ arrival }) => ({ kind: arrival.kind, finished: context.finishedSteps(), n: context.requireOutput("ask").n }),
};

const fail = {
  execute({ input, attempt }) {
    if (input.fail) throw new Permanent("as-wanted", "it was asked for", { why: input.fail });
    if (attempt === 1) null.nothing();
    return { attempt };
  },
};

// Asks another host: runtime/crates/plugin-host/tests/plugins/http_sdks.rs says what must come of it.
const call = {
  execute({ input: { url, timeout_ms: timeoutMs } }) {
    const headers = { "x-asked": "yes" };
    const answer = http.request("POST", url, { headers, json: { cents: 5 }, timeoutMs });
    return { status: answer.status, kind: answer.headers["x-kind"], body: answer.text() };
  },
};

function handleIn({ message }, effects) {
  if (message.headerText("stamp") !== "out") throw new Permanent("not-stamped", "it did not go through handleOut");
  const headers = { "correlation-id": message.requireHeader("correlation-id") };
  effects.send(new Message(ANSWERS, { key: message.keyText, headers, json: { n: message.json().n + 1 } }));
}

const swallow = ({ message }) => message.json();

const news = (what) => new Message(HEARD, { key: NAME, json: what });

const tell = (effects, what) => effects.send(news(what));

const retry = { fixed: { delay_ms: 10, max_attempts: 3 } };
const step = (name, more) => ({ name, timeout_ms: 30_000, retry, ...more });

export const { plugin, steps, tasks, lifecycle } = definePlugin({
  name: NAME,
  version: "0.1.0",
  sagas: [
    {
      name: NAME,
      version: 1,
      steps: [
        step("ask", { compensation: { undo: { retry, timeout_ms: 30_000 } } }),
        step("skip", { guarded: true }),
        ...["store", "parent", "hear", "rest", "fail"].map((name) => step(name)),
      ],
    },
    { name: `${NAME}-child`, version: 1, steps: [step("kid")] },
  ],
  steps: { ask, skip, store, parent, kid, hear, rest, fail, call },
  awaits: { [ANSWERS]: { header: "correlation-id" } },
  topics: {
    [ASKS]: { handleIn, handleOut: ({ message }) => message.header("stamp", "out") },
    [POISON]: {
      handleIn: swallow,
      handleDeadIn: ({ reason, message }, effects) => tell(effects, { dead: reason.code, topic: message.topic }),
    },
    [NOISE]: { handleIn: swallow, handleOut: ({ message }) => (message.json() === "hush" ? DROP : message) },
    [LOST]: {
      handleDeadOut: ({ reason, message }) => news({ lost: message.keyText, topic: message.topic, why: reason.code }),
    },
  },
  lifecycle({ kind, step = null, error, saga }, effects) {
    if (saga === NAME) tell(effects, { kind, step, code: error?.code ?? null });
  },
  migrations: [
    ["notes", "create table notes (id text primary key, n bigint, half float8, yes boolean, deep jsonb, nothing text)"],
  ],
  capabilities: {
    sql: true,
    event_store: true,
    topics: [`${NAME}.*`],
    config_keys: ["greeting"],
    http_hosts: ["127.0.0.1:*"],
  },
});
