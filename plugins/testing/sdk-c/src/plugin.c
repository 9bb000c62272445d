/* All of the SDK once: tests/tests/end_to_end/sdks.rs says what must come of it, in every language. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasaga.h>

#define NAME "sdk-c"
#define ASKS "sdk-c.asks"
#define ANSWERS "sdk-c.answers"
#define HEARD "sdk-c.heard"
#define POISON "sdk-c.poison"
#define NOISE "sdk-c.noise"
#define LOST "sdk-c.lost"

#define UNUSED __attribute__((unused))

static wasaga_outcome *ask(const wasaga_step_task *task, wasaga_effects *effects) {
  const wasaga_json *n = wasaga_get(task->input, "n");
  wasaga_message *asked = wasaga_message_to(ASKS);
  wasaga_message_set_key(asked, task->business_key);
  wasaga_message_add_header(asked, "correlation-id", task->idempotency_key);
  wasaga_message_set_json(asked, wasaga_set(wasaga_object(), "n", n));
  wasaga_send(effects, asked, NULL);
  wasaga_outcome *wait = wasaga_wait(wasaga_set(wasaga_object(), "n", n), NULL);
  wasaga_wait_for_message(wait, ANSWERS, task->idempotency_key);
  wasaga_wait_at_most(wait, 60000);
  return wait;
}

static wasaga_outcome *answered(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  const wasaga_arrival *arrival = task->arrival;
  if (strcmp(arrival->name, task->idempotency_key) != 0)
    return wasaga_permanent("other-answer", "not for %s", arrival->name);
  wasaga_json *output = wasaga_object();
  wasaga_set(output, "n", wasaga_get(wasaga_message_json(arrival->message), "n"));
  wasaga_set(output, "asked", wasaga_get(task->memo, "n"));
  return wasaga_done(output, wasaga_text("asked"));
}

static wasaga_outcome *unask(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  wasaga_json *output = wasaga_set(wasaga_object(), "undone", task->undo);
  wasaga_set(output, "direction", wasaga_text(task->is_undo ? "undo" : "forward"));
  return wasaga_done(wasaga_set(output, "cause", wasaga_text(wasaga_cause()->code)), NULL);
}

static wasaga_outcome *skips(const wasaga_step_task *task UNUSED) { return wasaga_skip(); }

static wasaga_json *event(int64_t added) {
  return wasaga_set(wasaga_set(wasaga_object(), "type", wasaga_text("Added")), "payload", wasaga_integer(added));
}

/* What a stream's snapshot and events come to. */
static int64_t sum_of(const wasaga_json *snapshot, const wasaga_json *events) {
  int64_t sum = 0;
  wasaga_as_integer(snapshot, &sum);
  for (size_t at = 0; at < wasaga_size(events); at++) {
    int64_t added = 0;
    wasaga_as_integer(wasaga_get(wasaga_at(events, at), "payload"), &added);
    sum += added;
  }
  return sum;
}

static wasaga_outcome *keep_events(const char *stream, uint64_t *version, int64_t *sum) {
  const wasaga_json *snapshot, *events;
  wasaga_outcome *failed = wasaga_events_load(stream, version, &snapshot, &events);
  if (failed != NULL) return failed;
  wasaga_json *added = wasaga_push(wasaga_push(wasaga_array(), event(3)), event(4));
  if ((failed = wasaga_events_append(stream, version, added)) != NULL) return failed;
  if ((failed = wasaga_events_snapshot(stream, *version, wasaga_integer(7))) != NULL) return failed;
  if ((failed = wasaga_events_load(stream, version, &snapshot, &events)) != NULL) return failed;
  *sum = sum_of(snapshot, events);
  return NULL;
}

static wasaga_outcome *store(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  const char *key = task->business_key;
  wasaga_json *deep = wasaga_set(wasaga_object(), "deep", wasaga_push(wasaga_array(), wasaga_integer(1)));
  wasaga_json *values = wasaga_push(wasaga_array(), wasaga_text(key));
  wasaga_push(values, wasaga_integer(7));
  wasaga_push(values, wasaga_double(0.5));
  wasaga_push(values, wasaga_boolean(true));
  wasaga_push(values, deep);
  wasaga_push(values, wasaga_null());
  const char *insert = "insert into notes values ($1, $2, $3, $4, $5::jsonb, $6)";
  wasaga_outcome *failed = wasaga_sql_execute(NULL, insert, values);
  if (failed != NULL) return failed;
  const wasaga_json *rows;
  wasaga_json *of_key = wasaga_push(wasaga_array(), wasaga_text(key));
  failed = wasaga_sql_query(&rows, "select * from notes where id = $1", of_key);
  if (failed != NULL) return failed;
  uint64_t version;
  int64_t sum;
  if ((failed = keep_events(key, &version, &sum)) != NULL) return failed;
  wasaga_json *output = wasaga_set(wasaga_object(), "row", wasaga_at(rows, 0));
  wasaga_set(output, "sum", wasaga_integer(sum));
  wasaga_set(output, "version", wasaga_integer((int64_t)version));
  wasaga_set(output, "greeting", wasaga_text(wasaga_config("greeting")));
  return wasaga_done(wasaga_set(output, "absent", wasaga_text(wasaga_config("x"))), NULL);
}

static wasaga_outcome *parent(const wasaga_step_task *task, wasaga_effects *effects) {
  char key[300];
  snprintf(key, sizeof(key), "%s/kid", task->business_key);
  wasaga_json *input = wasaga_set(wasaga_object(), "of", wasaga_text(task->business_key));
  wasaga_start(effects, "sdk-c-child", key, input, "kid");
  wasaga_outcome *wait = wasaga_wait(NULL, NULL);
  wasaga_wait_for_child(wait, "kid");
  return wait;
}

static wasaga_outcome *grown(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  wasaga_json *output = wasaga_set(wasaga_object(), "name", wasaga_text(task->arrival->name));
  wasaga_set(output, "status", wasaga_text(task->arrival->status));
  return wasaga_done(wasaga_set(output, "output", task->arrival->payload), NULL);
}

static wasaga_outcome *kid(const wasaga_step_task *task, wasaga_effects *effects) {
  wasaga_target of = {.saga = NAME, .business_key = wasaga_as_text(wasaga_get(task->input, "of"))};
  wasaga_signal(effects, of, "go", wasaga_set(wasaga_object(), "by", wasaga_text("kid")));
  return wasaga_done(wasaga_text("grown"), NULL);
}

static wasaga_outcome *hear(const wasaga_step_task *task UNUSED, wasaga_effects *effects UNUSED) {
  wasaga_outcome *wait = wasaga_wait(NULL, NULL);
  wasaga_wait_for_signal(wait, "go");
  wasaga_wait_for_signal(wait, "other");
  return wait;
}

static wasaga_outcome *heard(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  wasaga_json *output = wasaga_set(wasaga_object(), "name", wasaga_text(task->arrival->name));
  return wasaga_done(wasaga_set(output, "payload", task->arrival->payload), NULL);
}

static wasaga_outcome *rest(const wasaga_step_task *task UNUSED, wasaga_effects *effects UNUSED) {
  wasaga_outcome *wait = wasaga_wait(NULL, NULL);
  wasaga_wait_at_most(wait, 10);
  return wait;
}

static wasaga_outcome *rested(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  const char *kind = task->arrival->kind == WASAGA_TIMED_OUT ? "timed-out" : "another";
  wasaga_json *output = wasaga_set(wasaga_object(), "kind", wasaga_text(kind));
  wasaga_set(output, "finished", wasaga_finished_steps());
  return wasaga_done(wasaga_set(output, "n", wasaga_get(wasaga_output("ask"), "n")), NULL);
}

static wasaga_outcome *fail(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  if (wasaga_get(task->input, "fail") != NULL) return wasaga_permanent("as-wanted", "it was asked for");
  if (task->attempt == 1) abort();
  return wasaga_done(wasaga_set(wasaga_object(), "attempt", wasaga_integer(task->attempt)), NULL);
}

/* Asks another host: runtime/crates/plugin-host/tests/plugins/http_sdks.rs says what must come of it. */
static wasaga_outcome *call(const wasaga_step_task *task, wasaga_effects *effects UNUSED) {
  wasaga_json *headers = wasaga_set(wasaga_object(), "x-asked", wasaga_text("yes"));
  wasaga_set(headers, "content-type", wasaga_text("application/json"));
  int64_t timeout_ms = 0;
  wasaga_as_integer(wasaga_get(task->input, "timeout_ms"), &timeout_ms);
  const char *url = wasaga_as_text(wasaga_get(task->input, "url"));
  wasaga_response answer;
  wasaga_outcome *failed = wasaga_http(&answer, "POST", url, headers, "{\"cents\":5}", (uint64_t)timeout_ms);
  if (failed != NULL) return failed;
  wasaga_json *output = wasaga_set(wasaga_object(), "status", wasaga_integer(answer.status));
  wasaga_set(output, "kind", wasaga_get(answer.headers, "x-kind"));
  return wasaga_done(wasaga_set(output, "body", wasaga_text(answer.body)), NULL);
}

static wasaga_outcome *stamp(const wasaga_flow_task *task) {
  wasaga_message *stamped = wasaga_message_to(ASKS);
  wasaga_message_set_key(stamped, wasaga_message_key(task->message));
  wasaga_message_add_header(stamped, "correlation-id", wasaga_message_header(task->message, "correlation-id"));
  wasaga_message_add_header(stamped, "stamp", "out");
  wasaga_message_set_json(stamped, wasaga_message_json(task->message));
  return wasaga_publish(stamped);
}

static wasaga_outcome *answer(const wasaga_flow_task *task, wasaga_effects *effects) {
  const char *stamp = wasaga_message_header(task->message, "stamp");
  if (stamp == NULL || strcmp(stamp, "out") != 0)
    return wasaga_permanent("not-stamped", "it did not go through handle_out");
  int64_t n = 0;
  wasaga_as_integer(wasaga_get(wasaga_message_json(task->message), "n"), &n);
  wasaga_message *reply = wasaga_message_to(ANSWERS);
  wasaga_message_set_key(reply, wasaga_message_key(task->message));
  wasaga_message_add_header(reply, "correlation-id", wasaga_message_header(task->message, "correlation-id"));
  wasaga_message_set_json(reply, wasaga_set(wasaga_object(), "n", wasaga_integer(n + 1)));
  wasaga_send(effects, reply, NULL);
  return NULL;
}

static wasaga_message *news(const wasaga_json *what) {
  wasaga_message *message = wasaga_message_to(HEARD);
  wasaga_message_set_key(message, NAME);
  wasaga_message_set_json(message, what);
  return message;
}

static void tell(wasaga_effects *effects, const wasaga_json *what) { wasaga_send(effects, news(what), NULL); }

static wasaga_outcome *swallow(const wasaga_flow_task *task, wasaga_effects *effects UNUSED) {
  return wasaga_message_json(task->message) == NULL ? wasaga_permanent("undecodable-json", "it is no JSON") : NULL;
}

static wasaga_outcome *bury(const wasaga_flow_task *dead, wasaga_effects *effects) {
  wasaga_json *what = wasaga_set(wasaga_object(), "dead", wasaga_text(dead->reason->code));
  tell(effects, wasaga_set(what, "topic", wasaga_text(wasaga_message_topic(dead->message))));
  return NULL;
}

static wasaga_outcome *hush(const wasaga_flow_task *task) {
  const char *said = wasaga_as_text(wasaga_message_json(task->message));
  return said != NULL && strcmp(said, "hush") == 0 ? wasaga_drop() : wasaga_publish(task->message);
}

static wasaga_outcome *mourn(const wasaga_flow_task *dead) {
  wasaga_json *what = wasaga_set(wasaga_object(), "lost", wasaga_text(wasaga_message_key(dead->message)));
  wasaga_set(what, "topic", wasaga_text(wasaga_message_topic(dead->message)));
  return wasaga_publish(news(wasaga_set(what, "why", wasaga_text(dead->reason->code))));
}

static wasaga_outcome *hear_of(const wasaga_happened *happened, wasaga_effects *effects) {
  if (strcmp(happened->saga, NAME) != 0) return NULL;
  wasaga_json *what = wasaga_set(wasaga_object(), "kind", wasaga_text(happened->kind));
  wasaga_set(what, "step", wasaga_text(happened->step));
  tell(effects, wasaga_set(what, "code", wasaga_text(happened->error == NULL ? NULL : happened->error->code)));
  return NULL;
}

static const wasaga_step STEPS[] = {
    {.name = "ask", .execute = ask, .resume = answered, .compensate = unask},
    {.name = "skip", .guard = skips},
    {.name = "store", .execute = store},
    {.name = "parent", .execute = parent, .resume = grown},
    {.name = "kid", .execute = kid},
    {.name = "hear", .execute = hear, .resume = heard},
    {.name = "rest", .execute = rest, .resume = rested},
    {.name = "fail", .execute = fail},
    {.name = "call", .execute = call},
    {0},
};

static const wasaga_topic TOPICS[] = {
    {.name = ASKS, .handle_in = answer, .handle_out = stamp},
    {.name = POISON, .handle_in = swallow, .handle_dead_in = bury},
    {.name = NOISE, .handle_in = swallow, .handle_out = hush},
    {.name = LOST, .handle_dead_out = mourn},
    {0},
};

const wasaga_definition wasaga_plugin = {
    .manifest = WASAGA_MANIFEST({
      "name": "sdk-c",
      "version": "0.1.0",
      "steps": ["ask", "skip", "store", "parent", "kid", "hear", "rest", "fail", "call"],
      "sagas": [
        {
          "name": "sdk-c",
          "version": 1,
          "steps": [
            {"name": "ask", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}},
             "compensation": {"undo": {"timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}}}},
            {"name": "skip", "guarded": true, "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}},
            {"name": "store", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}},
            {"name": "parent", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}},
            {"name": "hear", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}},
            {"name": "rest", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}},
            {"name": "fail", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}}
          ]
        },
        {"name": "sdk-c-child", "version": 1, "steps": [{"name": "kid", "timeout_ms": 30000, "retry": {"fixed": {"delay_ms": 10, "max_attempts": 3}}}]}
      ],
      "subscriptions": [
        {"topic": "sdk-c.answers", "correlation": {"header": "correlation-id"}},
        {"topic": "sdk-c.asks"},
        {"topic": "sdk-c.poison"},
        {"topic": "sdk-c.noise"}
      ],
      "out_topics": ["sdk-c.asks", "sdk-c.noise"],
      "dead_in_topics": ["sdk-c.poison"],
      "dead_out_topics": ["sdk-c.lost"],
      "migrations": [{
        "version": 1,
        "name": "notes",
        "up": "create table notes (id text primary key, n bigint, half float8, yes boolean, deep jsonb, nothing text)"
      }],
      "capabilities": {"sql": true, "event_store": true, "topics": ["sdk-c.*"], "config_keys": ["greeting"],
                       "http_hosts": ["127.0.0.1:*"]}
    }),
    .steps = STEPS,
    .topics = TOPICS,
    .on_event = hear_of,
};
