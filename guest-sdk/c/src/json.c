#include "wasaga/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* How deep values may lie in one another: the stack is bounded. */
enum { DEEPEST = 200 };

struct wasaga_json {
  wasaga_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double number;
    const char *text;
    struct {
      size_t count;
      char **names; /* of an object's fields */
      const wasaga_json **values;
    };
  };
};

static wasaga_json *make(wasaga_kind kind) {
  wasaga_json *value = memory_take(sizeof(wasaga_json));
  value->kind = kind;
  return value;
}

wasaga_json *wasaga_null(void) { return make(WASAGA_NULL); }

wasaga_json *wasaga_boolean(bool value) {
  wasaga_json *made = make(WASAGA_BOOLEAN);
  made->boolean = value;
  return made;
}

wasaga_json *wasaga_integer(int64_t value) {
  wasaga_json *made = make(WASAGA_INTEGER);
  made->integer = value;
  return made;
}

wasaga_json *wasaga_double(double value) {
  wasaga_json *made = make(WASAGA_DOUBLE);
  made->number = value;
  return made;
}

wasaga_json *wasaga_text(const char *value) {
  if (value == NULL) return wasaga_null();
  wasaga_json *made = make(WASAGA_TEXT);
  made->text = memory_text(value, strlen(value));
  return made;
}

wasaga_json *wasaga_array(void) { return make(WASAGA_ARRAY); }

wasaga_json *wasaga_object(void) { return make(WASAGA_OBJECT); }

wasaga_json *wasaga_push(wasaga_json *array, const wasaga_json *element) {
  array->values = memory_grown(array->values, array->count, sizeof(*array->values));
  array->values[array->count++] = element == NULL ? wasaga_null() : element;
  return array;
}

wasaga_json *wasaga_set(wasaga_json *object, const char *name, const wasaga_json *value) {
  object->names = memory_grown(object->names, object->count, sizeof(*object->names));
  object->names[object->count] = memory_text(name, strlen(name));
  return wasaga_push(object, value);
}

wasaga_kind wasaga_json_kind(const wasaga_json *value) {
  return value == NULL ? WASAGA_NULL : value->kind;
}

static bool is(const wasaga_json *value, wasaga_kind kind) {
  return value != NULL && value->kind == kind;
}

const wasaga_json *wasaga_get(const wasaga_json *object, const char *name) {
  if (!is(object, WASAGA_OBJECT)) return NULL;
  /* Of a name that comes twice the last one counts. */
  for (size_t at = object->count; at > 0; at--)
    if (strcmp(object->names[at - 1], name) == 0) return object->values[at - 1];
  return NULL;
}

const wasaga_json *wasaga_at(const wasaga_json *array, size_t index) {
  return is(array, WASAGA_ARRAY) && index < array->count ? array->values[index] : NULL;
}

const char *wasaga_name(const wasaga_json *object, size_t index) {
  return is(object, WASAGA_OBJECT) && index < object->count ? object->names[index] : NULL;
}

size_t wasaga_size(const wasaga_json *value) {
  return is(value, WASAGA_ARRAY) || is(value, WASAGA_OBJECT) ? value->count : 0;
}

const char *wasaga_as_text(const wasaga_json *value) {
  return is(value, WASAGA_TEXT) ? value->text : NULL;
}

bool wasaga_as_boolean(const wasaga_json *value) {
  return is(value, WASAGA_BOOLEAN) && value->boolean;
}

bool wasaga_as_integer(const wasaga_json *value, int64_t *out) {
  if (is(value, WASAGA_INTEGER)) {
    *out = value->integer;
    return true;
  }
  /* The doubles of 64 bits are below 2 to the 63rd. */
  if (!is(value, WASAGA_DOUBLE) || !(value->number > -9.2e18 && value->number < 9.2e18)) return false;
  *out = (int64_t)value->number;
  return (double)*out == value->number;
}

bool wasaga_as_double(const wasaga_json *value, double *out) {
  if (is(value, WASAGA_INTEGER)) *out = (double)value->integer;
  else if (is(value, WASAGA_DOUBLE)) *out = value->number;
  else return false;
  return true;
}

/* Reading a text. */

typedef struct {
  const char *at, *end;
  int depth;
} reader;

static wasaga_json *read_value(reader *r);

static void skip_space(reader *r) {
  while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL && *r->at != '\0') r->at++;
}

static bool take(reader *r, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
  r->at += length;
  return true;
}

static bool read_hex(reader *r, uint32_t *out) {
  if (r->end - r->at < 4) return false;
  *out = 0;
  for (int digit = 0; digit < 4; digit++) {
    char c = *r->at++;
    uint32_t value = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
    if (value == 16) return false;
    *out = *out * 16 + value;
  }
  return true;
}

/* A \u escape, or two of them, as UTF-8. */
static char *read_unicode(reader *r, char *out) {
  uint32_t code, low;
  if (!read_hex(r, &code)) return NULL;
  if (code >= 0xD800 && code < 0xDC00) {
    if (!take(r, "\\u") || !read_hex(r, &low) || low < 0xDC00 || low > 0xDFFF) return NULL;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code <= 0xDFFF) {
    return NULL;
  }
  if (code == 0) return NULL; /* no C string holds it */
  if (code < 0x80) {
    *out++ = (char)code;
    return out;
  }
  if (code < 0x800) {
    *out++ = (char)(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      *out++ = (char)(0xE0 | code >> 12);
    } else {
      *out++ = (char)(0xF0 | code >> 18);
      *out++ = (char)(0x80 | (code >> 12 & 0x3F));
    }
    *out++ = (char)(0x80 | (code >> 6 & 0x3F));
  }
  *out++ = (char)(0x80 | (code & 0x3F));
  return out;
}

/* Behind the opening quote. */
static char *read_text(reader *r) {
  const char *close = r->at;
  while (close < r->end && *close != '"') close += *close == '\\' ? 2 : 1;
  if (close >= r->end) return NULL;
  char *text = memory_take((size_t)(close - r->at) + 1), *out = text;
  while (*r->at != '"') {
    char c = *r->at++;
    if ((unsigned char)c < 0x20) return NULL;
    if (c != '\\') {
      *out++ = c;
      continue;
    }
    static const char ESCAPES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    c = *r->at++;
    const char *escape = c == '\0' ? NULL : strchr(ESCAPES, c);
    if (escape != NULL) *out++ = MEANT[escape - ESCAPES];
    else if (c != 'u' || (out = read_unicode(r, out)) == NULL) return NULL;
  }
  r->at++;
  return text;
}

static wasaga_json *read_number(reader *r) {
  const char *begin = r->at;
  bool whole = true;
  if (r->at < r->end && *r->at == '-') r->at++;
  const char *digits = r->at;
  for (; r->at < r->end && strchr("0123456789.eE+-", *r->at) != NULL && *r->at != '\0'; r->at++)
    whole &= *r->at >= '0' && *r->at <= '9';
  size_t length = (size_t)(r->at - begin);
  bool is_number = r->at > digits && *digits >= '0' && *digits <= '9' && r->at[-1] >= '0' && r->at[-1] <= '9';
  if (!is_number || (*digits == '0' && digits + 1 < r->at && digits[1] >= '0' && digits[1] <= '9')) return NULL;
  char *text = memory_text(begin, length), *end;
  /* 18 digits fit always. */
  if (whole && r->at - digits <= 18) return wasaga_integer(strtoll(text, NULL, 10));
  double number = strtod(text, &end);
  return *end == '\0' ? wasaga_double(number) : NULL;
}

static wasaga_json *read_array(reader *r) {
  wasaga_json *array = wasaga_array();
  skip_space(r);
  if (take(r, "]")) return array;
  for (;;) {
    wasaga_json *element = read_value(r);
    if (element == NULL) return NULL;
    wasaga_push(array, element);
    if (take(r, "]")) return array;
    if (!take(r, ",")) return NULL;
  }
}

static wasaga_json *read_object(reader *r) {
  wasaga_json *object = wasaga_object();
  skip_space(r);
  if (take(r, "}")) return object;
  for (;;) {
    skip_space(r);
    char *name = take(r, "\"") ? read_text(r) : NULL;
    if (name == NULL) return NULL;
    skip_space(r);
    wasaga_json *value = take(r, ":") ? read_value(r) : NULL;
    if (value == NULL) return NULL;
    wasaga_set(object, name, value);
    if (take(r, "}")) return object;
    if (!take(r, ",")) return NULL;
  }
}

static wasaga_json *read_plain(reader *r) {
  if (take(r, "{")) return read_object(r);
  if (take(r, "[")) return read_array(r);
  if (take(r, "null")) return wasaga_null();
  if (take(r, "true")) return wasaga_boolean(true);
  if (take(r, "false")) return wasaga_boolean(false);
  if (!take(r, "\"")) return read_number(r);
  char *text = read_text(r);
  if (text == NULL) return NULL;
  wasaga_json *value = make(WASAGA_TEXT);
  value->text = text;
  return value;
}

/* With the space around it. */
static wasaga_json *read_value(reader *r) {
  if (++r->depth > DEEPEST) return NULL;
  skip_space(r);
  wasaga_json *value = r->at < r->end ? read_plain(r) : NULL;
  skip_space(r);
  r->depth--;
  return value;
}

wasaga_json *wasaga_json_parse(const char *text, size_t length) {
  reader r = {text, text + length, 0};
  wasaga_json *value = read_value(&r);
  return r.at == r.end ? value : NULL;
}

/* Printing. */

typedef struct {
  char *text;
  size_t length, room;
} writer;

static void put(writer *w, const char *bytes, size_t length) {
  if (w->length + length >= w->room) {
    w->room = 2 * (w->length + length) + 64;
    char *moved = memory_take(w->room);
    if (w->length > 0) memcpy(moved, w->text, w->length);
    w->text = moved;
  }
  memcpy(w->text + w->length, bytes, length);
  w->length += length;
}

static void put_word(writer *w, const char *word) { put(w, word, strlen(word)); }

static void put_text(writer *w, const char *text) {
  put_word(w, "\"");
  for (; *text != '\0'; text++) {
    char escaped[8];
    if (*text == '"' || *text == '\\') snprintf(escaped, sizeof(escaped), "\\%c", *text);
    else if ((unsigned char)*text < 0x20) snprintf(escaped, sizeof(escaped), "\\u%04x", *text);
    else snprintf(escaped, sizeof(escaped), "%c", *text);
    put_word(w, escaped);
  }
  put_word(w, "\"");
}

static void put_double(writer *w, double number) {
  char text[32];
  /* JSON has no infinity, and no number that is none. */
  if (number != number || number - number != 0) return put_word(w, "null");
  snprintf(text, sizeof(text), "%.15g", number);
  if (strtod(text, NULL) != number) snprintf(text, sizeof(text), "%.17g", number);
  put_word(w, text);
}

static void put_value(writer *w, const wasaga_json *value) {
  char text[32];
  switch (value->kind) {
    case WASAGA_NULL: return put_word(w, "null");
    case WASAGA_BOOLEAN: return put_word(w, value->boolean ? "true" : "false");
    case WASAGA_INTEGER:
      snprintf(text, sizeof(text), "%lld", (long long)value->integer);
      return put_word(w, text);
    case WASAGA_DOUBLE: return put_double(w, value->number);
    case WASAGA_TEXT: return put_text(w, value->text);
    case WASAGA_ARRAY:
    case WASAGA_OBJECT: break;
  }
  bool named = value->kind == WASAGA_OBJECT;
  put_word(w, named ? "{" : "[");
  for (size_t at = 0; at < value->count; at++) {
    if (at > 0) put_word(w, ",");
    if (named) {
      put_text(w, value->names[at]);
      put_word(w, ":");
    }
    put_value(w, value->values[at]);
  }
  put_word(w, named ? "}" : "]");
}

char *wasaga_json_print(const wasaga_json *value) {
  writer w = {0};
  put_value(&w, value == NULL ? wasaga_null() : value);
  put(&w, "", 1);
  return w.text;
}
