#include <string.h>

#include "boundary.h"

wasaga_message *wasaga_message_to(const char *topic) {
  wasaga_message *message = memory_take(sizeof(*message));
  message->topic = topic;
  return message;
}

void wasaga_message_set_key(wasaga_message *message, const char *key) {
  message->key = key;
  message->key_length = strlen(key);
}

void wasaga_message_add_header(wasaga_message *message, const char *name, const char *value) {
  message->headers = memory_grown(message->headers, message->header_count, sizeof(*message->headers));
  size_t at = message->header_count++;
  message->headers[at].name = name;
  message->headers[at].value = value;
  message->headers[at].length = strlen(value);
}

void wasaga_message_set_value(wasaga_message *message, const void *bytes, size_t length) {
  message->value = memory_text(bytes, length);
  message->length = length;
}

void wasaga_message_set_json(wasaga_message *message, const wasaga_json *value) {
  message->value = wasaga_json_print(value);
  message->length = strlen(message->value);
}

const char *wasaga_message_topic(const wasaga_message *message) { return message->topic; }

const char *wasaga_message_key(const wasaga_message *message) { return message->key; }

const char *wasaga_message_header(const wasaga_message *message, const char *name) {
  for (size_t at = message->header_count; at > 0; at--)
    if (strcmp(message->headers[at - 1].name, name) == 0) return message->headers[at - 1].value;
  return NULL;
}

const void *wasaga_message_value(const wasaga_message *message, size_t *length) {
  *length = message->length;
  return message->value;
}

const wasaga_json *wasaga_message_json(const wasaga_message *message) {
  return message->value == NULL ? NULL : wasaga_json_parse(message->value, message->length);
}
