/* JSON values: read, made, printed. Their memory is the call's: nothing has to be freed. */
#ifndef WASAGA_JSON_H
#define WASAGA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  WASAGA_NULL,
  WASAGA_BOOLEAN,
  WASAGA_INTEGER, /* a number without a fraction or an exponent that fits 64 bits */
  WASAGA_DOUBLE,
  WASAGA_TEXT,
  WASAGA_ARRAY,
  WASAGA_OBJECT,
} wasaga_kind;

typedef struct wasaga_json wasaga_json;

/* The value of a text; NULL: it is no JSON. */
wasaga_json *wasaga_json_parse(const char *text, size_t length);
/* The shortest text of a value, with a NUL behind it. */
char *wasaga_json_print(const wasaga_json *value);

/* Reading. A value that is absent (NULL) or of another kind gives NULL, 0 or false. */
wasaga_kind wasaga_json_kind(const wasaga_json *value);
const wasaga_json *wasaga_get(const wasaga_json *object, const char *name);
const wasaga_json *wasaga_at(const wasaga_json *array, size_t index);
/* The name of a field, by its place. */
const char *wasaga_name(const wasaga_json *object, size_t index);
/* How many elements or fields. */
size_t wasaga_size(const wasaga_json *value);
const char *wasaga_as_text(const wasaga_json *value);
bool wasaga_as_boolean(const wasaga_json *value);
/* Also of a double without a fraction: JSON may write 2 as 2.0. */
bool wasaga_as_integer(const wasaga_json *value, int64_t *out);
bool wasaga_as_double(const wasaga_json *value, double *out);

/* Making. */
wasaga_json *wasaga_null(void);
wasaga_json *wasaga_boolean(bool value);
wasaga_json *wasaga_integer(int64_t value);
wasaga_json *wasaga_double(double value);
wasaga_json *wasaga_text(const char *value); /* NULL: null */
wasaga_json *wasaga_array(void);
wasaga_json *wasaga_object(void);
/* Adds an element, and returns the array. */
wasaga_json *wasaga_push(wasaga_json *array, const wasaga_json *element);
/* Adds a field, and returns the object. A NULL is null. */
wasaga_json *wasaga_set(wasaga_json *object, const char *name, const wasaga_json *value);

#endif
