/* HTTP out. */

#include <ctype.h>
#include <string.h>

#include "boundary.h"

static wasaga_outcome *failure(wasaga_plugin_http_error_t *error) {
  wasaga_outcome *failed = NULL;
  switch (error->tag) {
    case WASAGA_PLUGIN_HTTP_ERROR_DENIED:
      failed = wasaga_permanent("http-denied", "%s", lift_text(&error->val.denied));
      break;
    case WASAGA_PLUGIN_HTTP_ERROR_NOT_SENT:
      failed = wasaga_retryable("http-not-sent", "%s", lift_text(&error->val.not_sent));
      break;
    case WASAGA_PLUGIN_HTTP_ERROR_MAYBE_SENT:
      failed = wasaga_unknown("http-maybe-sent", "%s", lift_text(&error->val.maybe_sent));
      break;
    default: {
      unsigned long long limit = error->val.too_large;
      failed = wasaga_unknown("http-too-large", "the answer has more than %llu bytes"
                              " (plugins.guest_limits.http_response_bytes)", limit);
    }
  }
  wasaga_plugin_http_error_free(error);
  return failed;
}

wasaga_outcome *wasaga_http(wasaga_response *response, const char *method, const char *url, const wasaga_json *headers,
                            const char *body, uint64_t timeout_ms) {
  size_t count = wasaga_size(headers);
  wasaga_plugin_http_header_t sent[count + 1];
  for (size_t at = 0; at < count; at++) {
    const char *name = wasaga_name(headers, at), *value = wasaga_as_text(wasaga_get(headers, name));
    guest_string_t bytes = lend_text(value == NULL ? "" : value);
    sent[at] = (wasaga_plugin_http_header_t){lend_text(name), {bytes.ptr, bytes.len}};
  }
  wasaga_plugin_http_request_t request = {
      .method = lend_text(method),
      .url = lend_text(url),
      .headers = {sent, count},
      .timeout_ms = {timeout_ms > 0, timeout_ms},
  };
  if (body != NULL) {
    request.body.is_some = true;
    request.body.val = (guest_list_u8_t){(uint8_t *)body, strlen(body)};
  }
  wasaga_plugin_http_response_t answer;
  wasaga_plugin_http_error_t error;
  if (!wasaga_plugin_http_send(&request, &answer, &error)) return failure(&error);
  wasaga_json *received = wasaga_object();
  for (size_t at = 0; at < answer.headers.len; at++) {
    const wasaga_plugin_types_header_t *header = &answer.headers.ptr[at];
    char *name = memory_text(header->name.ptr, header->name.len);
    for (char *letter = name; *letter != '\0'; letter++) *letter = (char)tolower((unsigned char)*letter);
    wasaga_set(received, name, wasaga_text(memory_text(header->value.ptr, header->value.len)));
  }
  const char *text = memory_text(answer.body.ptr, answer.body.len);
  *response = (wasaga_response){answer.status, received, text, answer.body.len};
  wasaga_plugin_http_response_free(&answer);
  return NULL;
}
