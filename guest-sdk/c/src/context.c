/* What the running saga has done so far. */

#include "boundary.h"

const wasaga_json *wasaga_finished_steps(void) {
  guest_list_string_t steps;
  wasaga_plugin_context_finished_steps(&steps);
  wasaga_json *names = wasaga_array();
  for (size_t at = 0; at < steps.len; at++) wasaga_push(names, wasaga_text(lift_text(&steps.ptr[at])));
  guest_list_string_free(&steps);
  return names;
}

const wasaga_json *wasaga_output(const char *step) {
  guest_string_t name = lend_text(step);
  wasaga_plugin_context_payload_t payload;
  if (!wasaga_plugin_context_output(&name, &payload)) return NULL;
  const wasaga_json *output = lift_payload(&payload);
  wasaga_plugin_context_payload_free(&payload);
  return output;
}

const wasaga_error *wasaga_cause(void) {
  wasaga_plugin_context_error_detail_t detail;
  if (!wasaga_plugin_context_cause(&detail)) return NULL;
  const wasaga_error *cause = lift_error(&detail);
  wasaga_plugin_context_error_detail_free(&detail);
  return cause;
}
