#include "wasaga/payload.h"

#include <string.h>

#include "boundary.h"

const wasaga_type wasaga_boolean_type = {.shape = WASAGA_IS_BOOLEAN, .size = sizeof(bool)};
const wasaga_type wasaga_integer_type = {.shape = WASAGA_IS_INTEGER, .size = sizeof(int64_t)};
const wasaga_type wasaga_number_type = {.shape = WASAGA_IS_NUMBER, .size = sizeof(double)};
const wasaga_type wasaga_text_type = {.shape = WASAGA_IS_TEXT, .size = sizeof(char *)};
const wasaga_type wasaga_json_type = {.shape = WASAGA_IS_JSON, .size = sizeof(wasaga_json *)};

/* What an array and a map begin with. */
typedef struct {
  size_t count;
  const void *items;
} list;

/* Whether NULL is null without another pointer. */
static bool is_pointer(const wasaga_type *type) {
  return type->shape == WASAGA_IS_TEXT || type->shape == WASAGA_IS_JSON;
}

static const char *format(const char *text, ...) {
  va_list arguments;
  va_start(arguments, text);
  const char *formatted = format_text(text, arguments);
  va_end(arguments);
  return formatted;
}

/* Reading: NULL, or the place and what is wrong there, as "/lines/2 must be a text". */

static const char *read_value(const wasaga_type *type, const wasaga_json *value, void *out);

static const char *read_nullable(const wasaga_type *type, const wasaga_json *value, void *out) {
  const void *held = NULL;
  if (wasaga_json_kind(value) != WASAGA_NULL) {
    if (is_pointer(type->of)) return read_value(type->of, value, out);
    void *taken = memory_take(type->of->size);
    const char *misfit = read_value(type->of, value, taken);
    if (misfit != NULL) return misfit;
    held = taken;
  }
  memcpy(out, &held, sizeof(held));
  return NULL;
}

static const char *read_enum(const wasaga_type *type, const wasaga_json *value, void *out) {
  const char *text = wasaga_as_text(value), *known = "";
  for (unsigned place = 0; type->texts[place] != NULL; place++) {
    if (text != NULL && strcmp(text, type->texts[place]) == 0) {
      memcpy(out, &place, sizeof(place));
      return NULL;
    }
    known = format("%s%s%s", known, place == 0 ? "" : ", ", type->texts[place]);
  }
  return format(" must be one of %s", known);
}

static const char *read_array(const wasaga_type *type, const wasaga_json *value, void *out) {
  if (wasaga_json_kind(value) != WASAGA_ARRAY) return " must be an array";
  size_t count = wasaga_size(value);
  char *items = memory_take(count * type->of->size);
  for (size_t at = 0; at < count; at++) {
    const char *misfit = read_value(type->of, wasaga_at(value, at), items + at * type->of->size);
    if (misfit != NULL) return format("/%zu%s", at, misfit);
  }
  memcpy(out, &(list){count, items}, sizeof(list));
  return NULL;
}

static const char *read_map(const wasaga_type *type, const wasaga_json *value, void *out) {
  if (wasaga_json_kind(value) != WASAGA_OBJECT) return " must be an object";
  size_t count = wasaga_size(value);
  char *entries = memory_take(count * type->entry);
  for (size_t at = 0; at < count; at++) {
    char *entry = entries + at * type->entry;
    const char *name = wasaga_name(value, at);
    memcpy(entry, &name, sizeof(name));
    const char *misfit = read_value(type->of, wasaga_get(value, name), entry + type->value);
    if (misfit != NULL) return format("/%s%s", name, misfit);
  }
  memcpy(out, &(list){count, entries}, sizeof(list));
  return NULL;
}

static const char *read_object(const wasaga_type *type, const wasaga_json *value, void *out) {
  if (wasaga_json_kind(value) != WASAGA_OBJECT) return " must be an object";
  for (const wasaga_field *field = type->fields; field->name != NULL; field++) {
    const wasaga_json *held = wasaga_get(value, field->name);
    if (held == NULL && !field->optional) return format("/%s is missing", field->name);
    const char *misfit = read_value(field->type, held, (char *)out + field->offset);
    if (misfit != NULL) return format("/%s%s", field->name, misfit);
  }
  return NULL;
}

static const char *read_value(const wasaga_type *type, const wasaga_json *value, void *out) {
  switch (type->shape) {
    case WASAGA_IS_BOOLEAN: {
      if (wasaga_json_kind(value) != WASAGA_BOOLEAN) return " must be true or false";
      bool boolean = wasaga_as_boolean(value);
      memcpy(out, &boolean, sizeof(boolean));
      return NULL;
    }
    case WASAGA_IS_INTEGER: return wasaga_as_integer(value, out) ? NULL : " must be an integer";
    case WASAGA_IS_NUMBER: return wasaga_as_double(value, out) ? NULL : " must be a number";
    case WASAGA_IS_TEXT: {
      const char *text = wasaga_as_text(value);
      memcpy(out, &text, sizeof(text));
      return text != NULL ? NULL : " must be a text";
    }
    case WASAGA_IS_JSON: memcpy(out, &value, sizeof(value)); return NULL;
    case WASAGA_IS_ENUM: return read_enum(type, value, out);
    case WASAGA_IS_NULLABLE: return read_nullable(type, value, out);
    case WASAGA_IS_ARRAY: return read_array(type, value, out);
    case WASAGA_IS_MAP: return read_map(type, value, out);
    case WASAGA_IS_OBJECT: return read_object(type, value, out);
  }
  return " has no type";
}

wasaga_outcome *wasaga_payload_read(const wasaga_type *type, const wasaga_json *value, void *out) {
  const char *misfit = value == NULL ? " is no JSON" : read_value(type, value, out);
  if (misfit == NULL) return NULL;
  return wasaga_permanent("undecodable-json", "%s: %s%s", type->name, *misfit == ' ' ? "it" : "", misfit);
}

/* Writing. */

static const wasaga_json *write_object(const wasaga_type *type, const char *from) {
  wasaga_json *object = wasaga_object();
  for (const wasaga_field *field = type->fields; field->name != NULL; field++) {
    const void *at = from + field->offset, *held;
    if (field->optional) {
      memcpy(&held, at, sizeof(held));
      if (held == NULL) continue;
    }
    wasaga_set(object, field->name, wasaga_payload_json(field->type, at));
  }
  return object;
}

static const wasaga_json *write_list(const wasaga_type *type, const void *from) {
  list written;
  memcpy(&written, from, sizeof(written));
  bool is_map = type->shape == WASAGA_IS_MAP;
  wasaga_json *all = is_map ? wasaga_object() : wasaga_array();
  for (size_t at = 0; at < written.count; at++) {
    const char *item = (const char *)written.items + at * (is_map ? type->entry : type->of->size), *name;
    if (!is_map) {
      wasaga_push(all, wasaga_payload_json(type->of, item));
      continue;
    }
    memcpy(&name, item, sizeof(name));
    wasaga_set(all, name, wasaga_payload_json(type->of, item + type->value));
  }
  return all;
}

const wasaga_json *wasaga_payload_json(const wasaga_type *type, const void *value) {
  const void *held;
  switch (type->shape) {
    case WASAGA_IS_BOOLEAN: return wasaga_boolean(*(const bool *)value);
    case WASAGA_IS_INTEGER: return wasaga_integer(*(const int64_t *)value);
    case WASAGA_IS_NUMBER: return wasaga_double(*(const double *)value);
    case WASAGA_IS_TEXT: return wasaga_text(*(const char *const *)value);
    case WASAGA_IS_JSON: return *(const wasaga_json *const *)value;
    case WASAGA_IS_ENUM: {
      unsigned place;
      memcpy(&place, value, sizeof(place));
      return wasaga_text(type->texts[place]);
    }
    case WASAGA_IS_NULLABLE:
      if (is_pointer(type->of)) return wasaga_payload_json(type->of, value);
      memcpy(&held, value, sizeof(held));
      return held == NULL ? wasaga_null() : wasaga_payload_json(type->of, held);
    case WASAGA_IS_ARRAY:
    case WASAGA_IS_MAP: return write_list(type, value);
    case WASAGA_IS_OBJECT: return write_object(type, value);
  }
  return wasaga_null();
}
