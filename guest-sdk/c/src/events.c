/* The event store, in the transaction of the call. */

#include "boundary.h"

static wasaga_outcome *failure(wasaga_plugin_event_store_error_t *error) {
  wasaga_outcome *failed;
  if (error->tag == WASAGA_PLUGIN_EVENT_STORE_ERROR_CONFLICT) {
    unsigned long long version = error->val.conflict;
    failed = wasaga_retryable("event-conflict", "somebody else appended: the stream is at version %llu", version);
  } else {
    failed = wasaga_retryable("event-store", "%s", lift_text(&error->val.other));
  }
  wasaga_plugin_event_store_error_free(error);
  return failed;
}

wasaga_outcome *wasaga_events_load(const char *stream, uint64_t *version, const wasaga_json **snapshot,
                                   const wasaga_json **out) {
  guest_string_t id = lend_text(stream);
  wasaga_plugin_event_store_tuple2_option_snapshot_list_stored_event_t loaded;
  wasaga_plugin_event_store_error_t error;
  if (!wasaga_plugin_event_store_load(&id, &loaded, &error)) return failure(&error);
  *version = loaded.f0.is_some ? loaded.f0.val.version : 0;
  *snapshot = loaded.f0.is_some ? lift_payload(&loaded.f0.val.state) : NULL;
  wasaga_json *events = wasaga_array();
  for (size_t at = 0; at < loaded.f1.len; at++) {
    const wasaga_plugin_event_store_stored_event_t *stored = &loaded.f1.ptr[at];
    wasaga_json *event = wasaga_object();
    wasaga_set(event, "version", wasaga_integer((int64_t)stored->version));
    wasaga_set(event, "type", wasaga_text(lift_text(&stored->event.event_type)));
    wasaga_set(event, "payload", lift_payload(&stored->event.payload));
    wasaga_push(events, event);
    *version = stored->version;
  }
  *out = events;
  wasaga_plugin_event_store_tuple2_option_snapshot_list_stored_event_free(&loaded);
  return NULL;
}

static wasaga_plugin_event_store_event_t lower_event(const wasaga_json *event) {
  return (wasaga_plugin_event_store_event_t){
      lower_text(wasaga_as_text(wasaga_get(event, "type"))),
      lower_payload(wasaga_get(event, "payload")),
  };
}

wasaga_outcome *wasaga_events_append(const char *stream, uint64_t *version, const wasaga_json *events) {
  guest_string_t id = lend_text(stream);
  size_t count = wasaga_size(events);
  wasaga_plugin_event_store_event_t lowered[count + 1];
  for (size_t at = 0; at < count; at++) lowered[at] = lower_event(wasaga_at(events, at));
  wasaga_plugin_event_store_list_event_t list = {lower_list(lowered, count, sizeof(*lowered)), count};
  wasaga_plugin_event_store_error_t error;
  bool appended = wasaga_plugin_event_store_append(&id, *version, &list, version, &error);
  wasaga_plugin_event_store_list_event_free(&list);
  return appended ? NULL : failure(&error);
}

wasaga_outcome *wasaga_events_snapshot(const char *stream, uint64_t version, const wasaga_json *state) {
  guest_string_t id = lend_text(stream);
  wasaga_plugin_event_store_snapshot_t snapshot = {version, lower_payload(state)};
  wasaga_plugin_event_store_error_t error;
  bool saved = wasaga_plugin_event_store_save_snapshot(&id, &snapshot, &error);
  wasaga_plugin_event_store_payload_free(&snapshot.state);
  return saved ? NULL : failure(&error);
}
