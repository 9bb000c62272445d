#include "boundary.h"

static wasaga_outcome *make(ended kind) {
  wasaga_outcome *outcome = memory_take(sizeof(*outcome));
  outcome->kind = kind;
  return outcome;
}

wasaga_outcome *wasaga_done(const wasaga_json *output, const wasaga_json *undo) {
  wasaga_outcome *done = make(ENDED_DONE);
  done->output = output;
  done->undo = undo;
  return done;
}

wasaga_outcome *wasaga_wait(const wasaga_json *memo, const wasaga_json *undo) {
  wasaga_outcome *wait = make(ENDED_WAIT);
  wait->memo = memo;
  wait->undo = undo;
  return wait;
}

static void add_source(wasaga_outcome *wait, wait_source source) {
  wait->sources = memory_grown(wait->sources, wait->source_count, sizeof(source));
  wait->sources[wait->source_count++] = source;
}

void wasaga_wait_for_message(wasaga_outcome *wait, const char *topic, const char *correlation) {
  add_source(wait, (wait_source){WASAGA_MESSAGE, topic, correlation});
}

void wasaga_wait_for_signal(wasaga_outcome *wait, const char *name) {
  add_source(wait, (wait_source){WASAGA_SIGNAL, name, NULL});
}

void wasaga_wait_for_child(wasaga_outcome *wait, const char *name) {
  add_source(wait, (wait_source){WASAGA_CHILD, name, NULL});
}

static void set_ms(wasaga_outcome *outcome, uint64_t milliseconds) {
  outcome->has_ms = true;
  outcome->ms = milliseconds;
}

void wasaga_wait_at_most(wasaga_outcome *wait, uint64_t milliseconds) { set_ms(wait, milliseconds); }

void wasaga_retry_after(wasaga_outcome *failure, uint64_t milliseconds) { set_ms(failure, milliseconds); }

#define FAILURE(name, ended)                                       \
  wasaga_outcome *name(const char *code, const char *format, ...) { \
    wasaga_outcome *failure = make(ended);                         \
    va_list arguments;                                             \
    va_start(arguments, format);                                   \
    failure->code = code;                                          \
    failure->message = format_text(format, arguments);             \
    va_end(arguments);                                             \
    return failure;                                                \
  }

FAILURE(wasaga_retryable, ENDED_RETRYABLE)
FAILURE(wasaga_permanent, ENDED_PERMANENT)
FAILURE(wasaga_unknown, ENDED_UNKNOWN)
FAILURE(wasaga_reject, ENDED_REJECT)

wasaga_outcome *wasaga_skip(void) { return make(ENDED_SKIP); }

wasaga_outcome *wasaga_publish(const wasaga_message *message) {
  wasaga_outcome *publish = make(ENDED_PUBLISH);
  publish->publish = message;
  return publish;
}

wasaga_outcome *wasaga_drop(void) { return make(ENDED_DROP); }
