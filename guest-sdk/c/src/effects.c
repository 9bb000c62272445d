#include "boundary.h"

static void add(wasaga_effects *effects, wasaga_plugin_types_effect_t effect) {
  effects->list = memory_grown(effects->list, effects->count, sizeof(effect));
  effects->list[effects->count++] = effect;
}

static wasaga_plugin_types_saga_target_t lower_target(wasaga_target target) {
  wasaga_plugin_types_saga_target_t lowered;
  if (target.id != NULL) {
    lowered.tag = WASAGA_PLUGIN_TYPES_SAGA_TARGET_ID;
    lowered.val.id = lower_text(target.id);
  } else {
    lowered.tag = WASAGA_PLUGIN_TYPES_SAGA_TARGET_BUSINESS_KEY;
    lowered.val.business_key.f0 = lower_text(target.saga);
    lowered.val.business_key.f1 = lower_text(target.business_key);
  }
  return lowered;
}

void wasaga_send(wasaga_effects *effects, const wasaga_message *message, const wasaga_message *rollback) {
  wasaga_plugin_types_effect_t effect = {.tag = WASAGA_PLUGIN_TYPES_EFFECT_SEND};
  effect.val.send.message = lower_message(message);
  effect.val.send.rollback.is_some = rollback != NULL;
  if (rollback != NULL) effect.val.send.rollback.val = lower_message(rollback);
  add(effects, effect);
}

void wasaga_start(wasaga_effects *effects, const char *saga, const char *business_key, const wasaga_json *input,
                  const char *child) {
  wasaga_plugin_types_effect_t effect = {.tag = WASAGA_PLUGIN_TYPES_EFFECT_START};
  effect.val.start.saga = lower_text(saga);
  effect.val.start.business_key = lower_optional_text(business_key);
  effect.val.start.input = lower_payload(input);
  effect.val.start.child = lower_optional_text(child);
  add(effects, effect);
}

void wasaga_signal(wasaga_effects *effects, wasaga_target target, const char *name, const wasaga_json *payload) {
  wasaga_plugin_types_effect_t effect = {.tag = WASAGA_PLUGIN_TYPES_EFFECT_SIGNAL};
  effect.val.signal.target = lower_target(target);
  effect.val.signal.name = lower_text(name);
  effect.val.signal.payload = lower_payload(payload);
  add(effects, effect);
}

void wasaga_cancel(wasaga_effects *effects, wasaga_target target) {
  wasaga_plugin_types_effect_t effect = {.tag = WASAGA_PLUGIN_TYPES_EFFECT_CANCEL};
  effect.val.cancel = lower_target(target);
  add(effects, effect);
}
