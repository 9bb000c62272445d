#include "boundary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *lift_text(const guest_string_t *text) { return memory_text(text->ptr, text->len); }

const char *lift_optional_text(const guest_option_string_t *text) {
  return text->is_some ? lift_text(&text->val) : NULL;
}

const wasaga_json *lift_payload(const wasaga_plugin_types_payload_t *payload) {
  return wasaga_json_parse((const char *)payload->data.ptr, payload->data.len);
}

const wasaga_error *lift_error(const wasaga_plugin_types_error_detail_t *detail) {
  wasaga_error *error = memory_take(sizeof(*error));
  *error = (wasaga_error){lift_text(&detail->code), lift_text(&detail->message)};
  return error;
}

const wasaga_message *lift_message(const wasaga_plugin_types_message_t *message) {
  wasaga_message *lifted = memory_take(sizeof(*lifted));
  lifted->topic = lift_text(&message->topic);
  if (message->key.is_some) {
    lifted->key = memory_text(message->key.val.ptr, message->key.val.len);
    lifted->key_length = message->key.val.len;
  }
  lifted->header_count = message->headers.len;
  lifted->headers = memory_take(message->headers.len * sizeof(*lifted->headers));
  for (size_t at = 0; at < message->headers.len; at++) {
    const wasaga_plugin_types_header_t *header = &message->headers.ptr[at];
    lifted->headers[at].name = lift_text(&header->name);
    lifted->headers[at].value = memory_text(header->value.ptr, header->value.len);
    lifted->headers[at].length = header->value.len;
  }
  if (message->value.is_some) {
    lifted->value = memory_text(message->value.val.ptr, message->value.val.len);
    lifted->length = message->value.val.len;
  }
  return lifted;
}

void *lower_list(const void *elements, size_t count, size_t size) {
  if (count == 0) return NULL;
  void *copy = malloc(count * size);
  if (copy == NULL) abort();
  return memcpy(copy, elements, count * size);
}

guest_list_u8_t lower_bytes(const void *bytes, size_t length) {
  return (guest_list_u8_t){lower_list(bytes, length, 1), length};
}

guest_string_t lower_text(const char *text) {
  size_t length = text == NULL ? 0 : strlen(text);
  return (guest_string_t){lower_list(text, length, 1), length};
}

guest_option_string_t lower_optional_text(const char *text) {
  guest_option_string_t lowered = {.is_some = text != NULL};
  if (text != NULL) lowered.val = lower_text(text);
  return lowered;
}

wasaga_plugin_types_payload_t lower_payload(const wasaga_json *value) {
  const char *text = wasaga_json_print(value);
  return (wasaga_plugin_types_payload_t){lower_text("application/json"), lower_bytes(text, strlen(text))};
}

wasaga_plugin_types_error_detail_t lower_error(const wasaga_outcome *outcome) {
  return (wasaga_plugin_types_error_detail_t){
      .code = lower_text(outcome->code),
      .message = lower_text(outcome->message),
  };
}

wasaga_plugin_types_message_t lower_message(const wasaga_message *message) {
  wasaga_plugin_types_message_t lowered = {.topic = lower_text(message->topic)};
  lowered.key.is_some = message->key != NULL;
  if (message->key != NULL) lowered.key.val = lower_bytes(message->key, message->key_length);
  wasaga_plugin_types_header_t headers[message->header_count + 1];
  for (size_t at = 0; at < message->header_count; at++) {
    headers[at].name = lower_text(message->headers[at].name);
    headers[at].value = lower_bytes(message->headers[at].value, message->headers[at].length);
  }
  lowered.headers.ptr = lower_list(headers, message->header_count, sizeof(*headers));
  lowered.headers.len = message->header_count;
  lowered.value.is_some = message->value != NULL;
  if (message->value != NULL) lowered.value.val = lower_bytes(message->value, message->length);
  return lowered;
}

bool lower_failure(const wasaga_outcome *outcome, wasaga_plugin_types_failure_t *out) {
  switch (outcome == NULL ? ENDED_DONE : outcome->kind) {
    case ENDED_RETRYABLE:
      out->tag = WASAGA_PLUGIN_TYPES_FAILURE_RETRYABLE;
      out->val.retryable.detail = lower_error(outcome);
      out->val.retryable.after_ms.is_some = outcome->has_ms;
      out->val.retryable.after_ms.val = outcome->ms;
      return true;
    case ENDED_PERMANENT:
      out->tag = WASAGA_PLUGIN_TYPES_FAILURE_PERMANENT;
      out->val.permanent = lower_error(outcome);
      return true;
    case ENDED_UNKNOWN:
      out->tag = WASAGA_PLUGIN_TYPES_FAILURE_UNKNOWN;
      out->val.unknown = lower_error(outcome);
      return true;
    default: return false;
  }
}

guest_string_t lend_text(const char *text) { return (guest_string_t){(uint8_t *)text, strlen(text)}; }

const char *format_text(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = memory_take((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  return text;
}

/* Printed lines are logged whole, when the call ends. */
__attribute__((constructor)) static void buffer_prints(void) { setvbuf(stdout, NULL, _IOFBF, BUFSIZ); }

void call_begins(void) { memory_reset(); }

void call_ends(void) { fflush(stdout); }
