/* SQL in the transaction of the call. */

#include <stdio.h>
#include <string.h>

#include "boundary.h"

typedef wasaga_plugin_sql_value_t host_value;

/* What another attempt cannot change (bad data, a wrong or forbidden statement) is permanent. */
static wasaga_outcome *failure(wasaga_plugin_sql_error_t *error) {
  static const char *const HOPELESS[] = {"0A", "22", "42"};
  const char *code = lift_text(&error->code), *message = lift_text(&error->message);
  wasaga_plugin_sql_error_free(error);
  char *named = memory_take(strlen(code) + sizeof("sql-"));
  strcat(strcpy(named, "sql-"), code);
  for (size_t at = 0; at < sizeof(HOPELESS) / sizeof(*HOPELESS); at++)
    if (strncmp(code, HOPELESS[at], 2) == 0) return wasaga_permanent(named, "%s", message);
  return wasaga_retryable(named, "%s", message);
}

static host_value lend_value(const wasaga_json *value) {
  host_value lent = {0};
  int64_t integer;
  switch (wasaga_json_kind(value)) {
    case WASAGA_NULL: lent.tag = WASAGA_PLUGIN_SQL_VALUE_NULL; break;
    case WASAGA_BOOLEAN:
      lent.tag = WASAGA_PLUGIN_SQL_VALUE_BOOLEAN;
      lent.val.boolean = wasaga_as_boolean(value);
      break;
    case WASAGA_INTEGER:
      lent.tag = WASAGA_PLUGIN_SQL_VALUE_INT64;
      wasaga_as_integer(value, &integer);
      lent.val.int64 = integer;
      break;
    case WASAGA_DOUBLE:
      lent.tag = WASAGA_PLUGIN_SQL_VALUE_FLOAT64;
      wasaga_as_double(value, &lent.val.float64);
      break;
    case WASAGA_TEXT:
      lent.tag = WASAGA_PLUGIN_SQL_VALUE_TEXT;
      lent.val.text = lend_text(wasaga_as_text(value));
      break;
    case WASAGA_ARRAY:
    case WASAGA_OBJECT:
      lent.tag = WASAGA_PLUGIN_SQL_VALUE_JSON;
      lent.val.json = lend_text(wasaga_json_print(value));
      break;
  }
  return lent;
}

static wasaga_plugin_sql_list_value_t lend_values(const wasaga_json *parameters) {
  size_t count = wasaga_size(parameters);
  host_value *values = memory_take((count + 1) * sizeof(*values));
  for (size_t at = 0; at < count; at++) values[at] = lend_value(wasaga_at(parameters, at));
  return (wasaga_plugin_sql_list_value_t){values, count};
}

static wasaga_json *hexadecimal(const guest_list_u8_t *bytes) {
  char *digits = memory_take(2 * bytes->len + 1);
  for (size_t at = 0; at < bytes->len; at++) snprintf(digits + 2 * at, 3, "%02x", bytes->ptr[at]);
  return wasaga_text(digits);
}

static wasaga_json *lift_value(const host_value *value) {
  switch (value->tag) {
    case WASAGA_PLUGIN_SQL_VALUE_NULL: return wasaga_null();
    case WASAGA_PLUGIN_SQL_VALUE_BOOLEAN: return wasaga_boolean(value->val.boolean);
    case WASAGA_PLUGIN_SQL_VALUE_INT64: return wasaga_integer(value->val.int64);
    case WASAGA_PLUGIN_SQL_VALUE_FLOAT64: return wasaga_double(value->val.float64);
    case WASAGA_PLUGIN_SQL_VALUE_BYTES: return hexadecimal(&value->val.bytes);
    case WASAGA_PLUGIN_SQL_VALUE_JSON:
      return wasaga_json_parse((const char *)value->val.json.ptr, value->val.json.len);
    default: return wasaga_text(lift_text(&value->val.text));
  }
}

wasaga_outcome *wasaga_sql_query(const wasaga_json **out, const char *statement, const wasaga_json *parameters) {
  guest_string_t lent = lend_text(statement);
  wasaga_plugin_sql_list_value_t values = lend_values(parameters);
  wasaga_plugin_sql_rows_t answer;
  wasaga_plugin_sql_error_t error;
  if (!wasaga_plugin_sql_query(&lent, &values, &answer, &error)) return failure(&error);
  wasaga_json *rows = wasaga_array();
  for (size_t at = 0; at < answer.rows.len; at++) {
    wasaga_json *row = wasaga_object();
    for (size_t column = 0; column < answer.columns.len; column++) {
      const char *name = lift_text(&answer.columns.ptr[column].name);
      wasaga_set(row, name, lift_value(&answer.rows.ptr[at].ptr[column]));
    }
    wasaga_push(rows, row);
  }
  wasaga_plugin_sql_rows_free(&answer);
  *out = rows;
  return NULL;
}

wasaga_outcome *wasaga_sql_execute(uint64_t *count, const char *statement, const wasaga_json *parameters) {
  guest_string_t lent = lend_text(statement);
  wasaga_plugin_sql_list_value_t values = lend_values(parameters);
  wasaga_plugin_sql_error_t error;
  uint64_t touched;
  if (!wasaga_plugin_sql_execute(&lent, &values, &touched, &error)) return failure(&error);
  if (count != NULL) *count = touched;
  return NULL;
}
