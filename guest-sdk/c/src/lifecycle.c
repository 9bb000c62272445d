/* The export `lifecycle`. */

#include "boundary.h"

typedef exports_wasaga_plugin_lifecycle_event_t host_event;

static wasaga_happened lift_event(const host_event *event) {
  static const char *const KINDS[] = {
      "started",   "step-succeeded", "step-failed", "step-compensated",
      "completed", "failed",         "compensated", "needs-attention",
  };
  wasaga_happened happened = {.kind = KINDS[event->tag]};
  switch (event->tag) {
    case EXPORTS_WASAGA_PLUGIN_LIFECYCLE_EVENT_STARTED: break;
    case EXPORTS_WASAGA_PLUGIN_LIFECYCLE_EVENT_STEP_SUCCEEDED:
    case EXPORTS_WASAGA_PLUGIN_LIFECYCLE_EVENT_STEP_COMPENSATED:
      happened.step = lift_text(&event->val.step_succeeded);
      break;
    case EXPORTS_WASAGA_PLUGIN_LIFECYCLE_EVENT_STEP_FAILED:
      happened.step = lift_text(&event->val.step_failed.f0);
      happened.error = lift_error(&event->val.step_failed.f1);
      break;
    case EXPORTS_WASAGA_PLUGIN_LIFECYCLE_EVENT_COMPLETED:
      happened.output = lift_payload(&event->val.completed);
      break;
    default: happened.error = lift_error(&event->val.failed);
  }
  return happened;
}

bool exports_wasaga_plugin_lifecycle_on_event(guest_string_t *saga_id, guest_string_t *saga, guest_string_t *event_id,
                                              host_event *event, exports_wasaga_plugin_lifecycle_list_effect_t *out,
                                              exports_wasaga_plugin_lifecycle_failure_t *failure) {
  call_begins();
  wasaga_happened happened = lift_event(event);
  happened.saga_id = lift_text(saga_id);
  happened.saga = lift_text(saga);
  happened.event_id = lift_text(event_id);
  guest_string_free(saga_id);
  guest_string_free(saga);
  guest_string_free(event_id);
  exports_wasaga_plugin_lifecycle_event_free(event);

  wasaga_effects effects = {0};
  const wasaga_outcome *outcome =
      wasaga_plugin.on_event == NULL ? NULL : wasaga_plugin.on_event(&happened, &effects);
  call_ends();
  if (lower_failure(outcome, failure)) return false;
  out->ptr = lower_list(effects.list, effects.count, sizeof(*effects.list));
  out->len = effects.count;
  return true;
}
