/* Payloads as structs: what `wasaga types` makes of JSON Schemas says by these tables where a struct has what JSON has. */
#ifndef WASAGA_PAYLOAD_H
#define WASAGA_PAYLOAD_H

#include "../wasaga.h"

typedef enum {
  WASAGA_IS_BOOLEAN,  /* bool */
  WASAGA_IS_INTEGER,  /* int64_t */
  WASAGA_IS_NUMBER,   /* double */
  WASAGA_IS_TEXT,     /* const char * */
  WASAGA_IS_JSON,     /* const wasaga_json * */
  WASAGA_IS_ENUM,     /* an enum: the place among the texts */
  WASAGA_IS_NULLABLE, /* a pointer; of a text or JSON itself */
  WASAGA_IS_ARRAY,    /* a count, and a pointer to the items */
  WASAGA_IS_MAP,      /* a count, and a pointer to entries, which begin with their names */
  WASAGA_IS_OBJECT,   /* a struct */
} wasaga_shape;

typedef struct wasaga_type wasaga_type;

typedef struct {
  const char *name;
  const wasaga_type *type;
  size_t offset;
  bool optional; /* left out where it is NULL */
} wasaga_field;

struct wasaga_type {
  wasaga_shape shape;
  const char *name;
  size_t size;
  const wasaga_type *of;      /* of a nullable, an array and a map */
  size_t entry, value;        /* of a map: the size of an entry, and where its value is */
  const char *const *texts;   /* of an enum; NULL ends them */
  const wasaga_field *fields; /* of an object; one without a name ends them */
};

extern const wasaga_type wasaga_boolean_type, wasaga_integer_type, wasaga_number_type, wasaga_text_type, wasaga_json_type;
#define WASAGA_NULLABLE(type) (&(const wasaga_type){.shape = WASAGA_IS_NULLABLE, .size = sizeof(void *), .of = type})

/* NULL, or a permanent failure that says what does not fit, and where. */
wasaga_outcome *wasaga_payload_read(const wasaga_type *type, const wasaga_json *value, void *out);
const wasaga_json *wasaga_payload_json(const wasaga_type *type, const void *value);

#endif
