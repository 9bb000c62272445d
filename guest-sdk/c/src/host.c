/* The log, time, chance and the configuration. */

#include <string.h>

#include "boundary.h"

void wasaga_log(wasaga_level level, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  guest_string_t line = lend_text(format_text(format, arguments));
  va_end(arguments);
  wasaga_plugin_logging_log((wasaga_plugin_logging_level_t)level, &line);
}

uint64_t wasaga_now_ms(void) { return wasaga_plugin_ambient_now_ms(); }

void wasaga_random(void *bytes, size_t length) {
  guest_list_u8_t list;
  wasaga_plugin_ambient_random_bytes((uint32_t)length, &list);
  memcpy(bytes, list.ptr, list.len);
  guest_list_u8_free(&list);
}

const char *wasaga_config(const char *key) {
  guest_string_t name = lend_text(key), value;
  if (!wasaga_plugin_config_get(&name, &value)) return NULL;
  const char *text = lift_text(&value);
  guest_string_free(&value);
  return text;
}
