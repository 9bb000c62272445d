/* Write wasaga plugins in C: see README.md.
 *
 * A plugin defines `wasaga_plugin` (at the end of this file). Texts are UTF-8 with a NUL behind them. What functions return
 * lives as long as the call: nothing has to be freed. printf, time() and getentropy() are the host's log, clock and chance. */
#ifndef WASAGA_H
#define WASAGA_H

#include "wasaga/json.h"

/* ---- Outcomes: how a handler ends. NULL: it is done, and has nothing to say. */

typedef struct wasaga_outcome wasaga_outcome;

/* The step is done: what later steps and the saga's reader see, and what its undo needs to know (or NULL). */
wasaga_outcome *wasaga_done(const wasaga_json *output, const wasaga_json *undo);

/* Waits, without holding anything, for the first of the sources that are added; without one, for the time-out.
 * `memo` is handed back to `resume`, `undo` to `compensate`, should the saga fail meanwhile; both may be NULL. */
wasaga_outcome *wasaga_wait(const wasaga_json *memo, const wasaga_json *undo);
/* The next message of a topic with this correlation key; one that came early counts. */
void wasaga_wait_for_message(wasaga_outcome *wait, const char *topic, const char *correlation);
void wasaga_wait_for_signal(wasaga_outcome *wait, const char *name);
void wasaga_wait_for_child(wasaga_outcome *wait, const char *name);
/* At most so long from now; otherwise until the step's own time-out. */
void wasaga_wait_at_most(wasaga_outcome *wait, uint64_t milliseconds);

/* Failures. `code` is short and stable, as "payment-declined"; the message, a format as printf's, is for the operator. */
#define WASAGA_FORMAT __attribute__((format(printf, 2, 3)))
/* This attempt did nothing: try again under the step's policy. */
wasaga_outcome *wasaga_retryable(const char *code, const char *format, ...) WASAGA_FORMAT;
/* The effect has certainly not happened and never will: no retry, no undo of this step. */
wasaga_outcome *wasaga_permanent(const char *code, const char *format, ...) WASAGA_FORMAT;
/* The effect may have happened: retried under the policy, and undone when the saga fails. */
wasaga_outcome *wasaga_unknown(const char *code, const char *format, ...) WASAGA_FORMAT;
/* Of a retryable failure: not before so long. */
void wasaga_retry_after(wasaga_outcome *failure, uint64_t milliseconds);

/* A guard's answers, beside NULL to proceed: pass over the step, or fail the saga. */
wasaga_outcome *wasaga_skip(void);
wasaga_outcome *wasaga_reject(const char *code, const char *format, ...) WASAGA_FORMAT;

/* ---- Messages and effects */

/* A Kafka record; without a value it is a tombstone. */
typedef struct wasaga_message wasaga_message;

wasaga_message *wasaga_message_to(const char *topic);
void wasaga_message_set_key(wasaga_message *message, const char *key);
void wasaga_message_add_header(wasaga_message *message, const char *name, const char *value);
void wasaga_message_set_value(wasaga_message *message, const void *bytes, size_t length);
void wasaga_message_set_json(wasaga_message *message, const wasaga_json *value);

const char *wasaga_message_topic(const wasaga_message *message);
/* NULL: there is none. */
const char *wasaga_message_key(const wasaga_message *message);
/* The last header of this name; NULL: there is none. */
const char *wasaga_message_header(const wasaga_message *message, const char *name);
/* NULL: a tombstone. */
const void *wasaga_message_value(const wasaga_message *message, size_t *length);
/* NULL: no value, or it is no JSON. */
const wasaga_json *wasaga_message_json(const wasaga_message *message);

/* handle_out and handle_dead_out: what is published in the message's place; or nothing. */
wasaga_outcome *wasaga_publish(const wasaga_message *message);
wasaga_outcome *wasaga_drop(void);

/* What is committed with the handler's result, exactly once. */
typedef struct wasaga_effects wasaga_effects;

/* `rollback`, or NULL, is published instead when the message is given up. */
void wasaga_send(wasaga_effects *effects, const wasaga_message *message, const wasaga_message *rollback);
/* Under one business key (or NULL) a saga is started once; a child of a name (or NULL) can be waited for. */
void wasaga_start(wasaga_effects *effects, const char *saga, const char *business_key, const wasaga_json *input,
                  const char *child);
/* A saga by its id, or by its definition and business key; the other are NULL. */
typedef struct {
  const char *id;
  const char *saga, *business_key;
} wasaga_target;
void wasaga_signal(wasaga_effects *effects, wasaga_target target, const char *name, const wasaga_json *payload);
/* Asks a saga to turn back. */
void wasaga_cancel(wasaga_effects *effects, wasaga_target target);

/* ---- Steps */

typedef struct {
  const char *code, *message;
} wasaga_error;

typedef enum { WASAGA_MESSAGE, WASAGA_SIGNAL, WASAGA_CHILD, WASAGA_TIMED_OUT } wasaga_arrived;

/* What ended a wait. */
typedef struct {
  wasaga_arrived kind;
  const char *name;              /* the correlation key, the signal's or the child's name */
  const wasaga_message *message; /* a message's */
  const wasaga_json *payload;    /* a signal's, or a child's output */
  const char *saga_id, *status;  /* a child's */
  const wasaga_error *error;     /* a child's, or NULL */
} wasaga_arrival;

/* An attempt of a step. */
typedef struct {
  const char *saga_id, *saga;
  uint32_t definition_version;
  const char *business_key; /* the saga's id when it was started without one */
  const char *step;
  bool is_undo;
  uint32_t attempt;            /* from 1 */
  const char *idempotency_key; /* the same for every attempt of this step in this direction */
  const char *forward_key;     /* the forward attempts' key: what an undo undoes */
  uint64_t deadline_ms;        /* Unix time, UTC */
  const char *traceparent;     /* NULL: none */
  const wasaga_json *input;    /* the saga's; NULL: it is no JSON */
  const wasaga_json *undo;     /* in compensate and resume: what the step kept, or NULL */
  const wasaga_json *memo;     /* in resume: what the wait kept, or NULL */
  const wasaga_arrival *arrival;
} wasaga_step_task;

typedef wasaga_outcome *wasaga_step_handler(const wasaga_step_task *task, wasaga_effects *effects);

typedef struct {
  const char *name;
  wasaga_outcome *(*guard)(const wasaga_step_task *task); /* where the step is guarded */
  wasaga_step_handler *execute;
  wasaga_step_handler *resume; /* after a wait of execute or of compensate: is_undo tells which */
  wasaga_step_handler *compensate;
} wasaga_step;

/* What the running saga has done so far. Only steps may ask. */
const wasaga_json *wasaga_finished_steps(void);
const wasaga_json *wasaga_output(const char *step); /* NULL: it is not done */
const wasaga_error *wasaga_cause(void);             /* NULL: the saga goes forward */

/* ---- Tasks */

typedef struct {
  const char *id;
  uint32_t attempt;
  const char *idempotency_key;
  uint64_t deadline_ms;
  const char *traceparent; /* NULL: none */
  const wasaga_message *message;
  const wasaga_error *reason; /* why a dead letter was given up */
} wasaga_flow_task;

typedef wasaga_outcome *wasaga_in_handler(const wasaga_flow_task *task, wasaga_effects *effects);
typedef wasaga_outcome *wasaga_out_handler(const wasaga_flow_task *task);

/* Handlers of a topic's messages; the manifest names it for each that is there. */
typedef struct {
  const char *name;
  wasaga_in_handler *handle_in;
  wasaga_out_handler *handle_out;
  wasaga_in_handler *handle_dead_in;
  wasaga_out_handler *handle_dead_out;
} wasaga_topic;

/* ---- Lifecycle */

typedef struct {
  const char *saga_id, *saga, *event_id;
  const char *kind; /* as "step-failed" */
  const char *step;
  const wasaga_json *output;
  const wasaga_error *error;
} wasaga_happened;

/* ---- The host */

typedef enum { WASAGA_TRACE, WASAGA_DEBUG, WASAGA_INFO, WASAGA_WARN, WASAGA_ERROR } wasaga_level;
void wasaga_log(wasaga_level level, const char *format, ...) WASAGA_FORMAT;

/* Unix time, UTC. */
uint64_t wasaga_now_ms(void);
void wasaga_random(void *bytes, size_t length);
/* A value of the plugin's configuration; NULL: there is none. */
const char *wasaga_config(const char *key);

/* SQL in the transaction that commits this step or task. `parameters`, an array or NULL: text, integers, doubles, booleans
 * and nulls as such, arrays and objects as json. Return NULL, or the failure to return. */
/* Rows: an array of objects. Numeric, uuid and timestamps are texts, bytes are texts of hexadecimal digits. */
wasaga_outcome *wasaga_sql_query(const wasaga_json **rows, const char *statement, const wasaga_json *parameters);
/* `count`, or NULL, is how many rows it touched. */
wasaga_outcome *wasaga_sql_execute(uint64_t *count, const char *statement, const wasaga_json *parameters);

/* Event streams, in the same transaction. `events` is an array of {"type", "payload"}; loaded ones have "version" too. */
wasaga_outcome *wasaga_events_load(const char *stream, uint64_t *version, const wasaga_json **snapshot,
                                   const wasaga_json **events);
/* `version` is the one that is expected, and becomes the new one. */
wasaga_outcome *wasaga_events_append(const char *stream, uint64_t *version, const wasaga_json *events);
wasaga_outcome *wasaga_events_snapshot(const char *stream, uint64_t version, const wasaga_json *state);

typedef struct {
  uint16_t status;
  const wasaga_json *headers; /* an object, by names in lower case */
  const char *body;           /* with a NUL behind it */
  size_t length;
} wasaga_response;

/* HTTP out, to granted hosts. `headers`, an object, and `body` may be NULL. Returns NULL, or the failure to return. */
wasaga_outcome *wasaga_http(wasaga_response *response, const char *method, const char *url, const wasaga_json *headers,
                            const char *body, uint64_t timeout_ms);

/* ---- The plugin */

/* JSON as it is written: WASAGA_MANIFEST({"name": "tax", …}). Pass it through no other macro: true would become 1. */
#define WASAGA_MANIFEST(...) #__VA_ARGS__

typedef struct {
  const char *manifest;       /* by wit/manifest.schema.json */
  const wasaga_step *steps;   /* ends with one without a name; or NULL */
  const wasaga_topic *topics; /* the same */
  wasaga_outcome *(*on_event)(const wasaga_happened *happened, wasaga_effects *effects); /* or NULL */
} wasaga_definition;

/* The plugin defines it. */
extern const wasaga_definition wasaga_plugin;

#endif
