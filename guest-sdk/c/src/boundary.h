/* What is on both sides of the component's boundary: the generated types, and the SDK's.
 *
 * `lift` makes the call's memory of what the host gave; `lower` makes memory that the host's side frees. */
#ifndef WASAGA_BOUNDARY_H
#define WASAGA_BOUNDARY_H

#include "guest.h"
#include "memory.h"
#include "wasaga.h"

struct wasaga_message {
  const char *topic, *key;
  struct {
    const char *name, *value;
    size_t length;
  } *headers;
  size_t header_count, key_length;
  const void *value;
  size_t length;
};

struct wasaga_effects {
  wasaga_plugin_types_effect_t *list;
  size_t count;
};

typedef enum {
  ENDED_DONE,
  ENDED_WAIT,
  ENDED_RETRYABLE,
  ENDED_PERMANENT,
  ENDED_UNKNOWN,
  ENDED_SKIP,
  ENDED_REJECT,
  ENDED_PUBLISH,
  ENDED_DROP,
} ended;

typedef struct {
  wasaga_arrived kind;
  const char *name, *correlation;
} wait_source;

struct wasaga_outcome {
  ended kind;
  const wasaga_json *output, *undo, *memo;
  wait_source *sources;
  size_t source_count;
  bool has_ms;
  uint64_t ms; /* of the time-out, or before the next attempt */
  const char *code, *message;
  const wasaga_message *publish;
};

const char *lift_text(const guest_string_t *text);
const char *lift_optional_text(const guest_option_string_t *text);
/* NULL: no JSON. */
const wasaga_json *lift_payload(const wasaga_plugin_types_payload_t *payload);
const wasaga_error *lift_error(const wasaga_plugin_types_error_detail_t *detail);
const wasaga_message *lift_message(const wasaga_plugin_types_message_t *message);

guest_string_t lower_text(const char *text);
guest_option_string_t lower_optional_text(const char *text);
guest_list_u8_t lower_bytes(const void *bytes, size_t length);
wasaga_plugin_types_payload_t lower_payload(const wasaga_json *value);
wasaga_plugin_types_error_detail_t lower_error(const wasaga_outcome *outcome);
wasaga_plugin_types_message_t lower_message(const wasaga_message *message);
/* A copy of elements in memory that the host's side frees; `size` is an element's. */
void *lower_list(const void *elements, size_t count, size_t size);
/* Whether the outcome is a failure, which is lowered. */
bool lower_failure(const wasaga_outcome *outcome, wasaga_plugin_types_failure_t *out);

/* A text that is the host's for the length of one of its functions. */
guest_string_t lend_text(const char *text);

/* A format's text. */
#include <stdarg.h>
const char *format_text(const char *format, va_list arguments);

/* What every export begins and ends with. */
void call_begins(void);
void call_ends(void);

#endif
