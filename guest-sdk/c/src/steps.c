/* The export `steps`: handlers by the name of their step. */

#include <string.h>

#include "boundary.h"

typedef exports_wasaga_plugin_steps_task_t host_task;
typedef exports_wasaga_plugin_steps_payload_t host_payload;
typedef exports_wasaga_plugin_steps_outcome_t host_outcome;
typedef exports_wasaga_plugin_steps_failure_t host_failure;

static wasaga_step_task lift_task(const host_task *task) {
  const wasaga_plugin_types_attempt_t *attempt = &task->attempt;
  const char *saga_id = lift_text(&attempt->saga_id), *business_key = lift_optional_text(&attempt->business_key);
  return (wasaga_step_task){
      .saga_id = saga_id,
      .saga = lift_text(&attempt->saga),
      .definition_version = attempt->definition_version,
      .business_key = business_key == NULL ? saga_id : business_key,
      .step = lift_text(&attempt->step),
      .is_undo = attempt->direction == WASAGA_PLUGIN_TYPES_DIRECTION_UNDO,
      .attempt = attempt->number,
      .idempotency_key = lift_text(&attempt->idempotency_key),
      .forward_key = lift_text(&attempt->forward_key),
      .deadline_ms = attempt->deadline_ms,
      .traceparent = lift_optional_text(&attempt->traceparent),
      .input = lift_payload(&task->input),
  };
}

static wasaga_arrival lift_arrival(const exports_wasaga_plugin_steps_arrival_t *arrival) {
  switch (arrival->tag) {
    case EXPORTS_WASAGA_PLUGIN_STEPS_ARRIVAL_MESSAGE:
      return (wasaga_arrival){
          .kind = WASAGA_MESSAGE,
          .name = lift_text(&arrival->val.message.f0),
          .message = lift_message(&arrival->val.message.f1),
      };
    case EXPORTS_WASAGA_PLUGIN_STEPS_ARRIVAL_SIGNAL:
      return (wasaga_arrival){
          .kind = WASAGA_SIGNAL,
          .name = lift_text(&arrival->val.signal.f0),
          .payload = lift_payload(&arrival->val.signal.f1),
      };
    case EXPORTS_WASAGA_PLUGIN_STEPS_ARRIVAL_CHILD: {
      const exports_wasaga_plugin_steps_child_end_t *end = &arrival->val.child.f1;
      return (wasaga_arrival){
          .kind = WASAGA_CHILD,
          .name = lift_text(&arrival->val.child.f0),
          .payload = end->output.is_some ? lift_payload(&end->output.val) : NULL,
          .saga_id = lift_text(&end->saga_id),
          .status = lift_text(&end->status),
          .error = end->error.is_some ? lift_error(&end->error.val) : NULL,
      };
    }
    default: return (wasaga_arrival){.kind = WASAGA_TIMED_OUT};
  }
}

static exports_wasaga_plugin_steps_option_payload_t lower_optional(const wasaga_json *value) {
  exports_wasaga_plugin_steps_option_payload_t lowered = {.is_some = value != NULL};
  if (value != NULL) lowered.val = lower_payload(value);
  return lowered;
}

static exports_wasaga_plugin_steps_list_effect_t lower_effects(const wasaga_effects *effects) {
  return (exports_wasaga_plugin_steps_list_effect_t){
      lower_list(effects->list, effects->count, sizeof(*effects->list)),
      effects->count,
  };
}

static exports_wasaga_plugin_steps_wait_source_t lower_source(const wait_source *source) {
  exports_wasaga_plugin_steps_wait_source_t lowered;
  if (source->kind == WASAGA_MESSAGE) {
    lowered.tag = EXPORTS_WASAGA_PLUGIN_STEPS_WAIT_SOURCE_MESSAGE;
    lowered.val.message.topic = lower_text(source->name);
    lowered.val.message.correlation = lower_text(source->correlation);
  } else if (source->kind == WASAGA_SIGNAL) {
    lowered.tag = EXPORTS_WASAGA_PLUGIN_STEPS_WAIT_SOURCE_SIGNAL;
    lowered.val.signal = lower_text(source->name);
  } else {
    lowered.tag = EXPORTS_WASAGA_PLUGIN_STEPS_WAIT_SOURCE_CHILD;
    lowered.val.child = lower_text(source->name);
  }
  return lowered;
}

static void lower_wait(const wasaga_outcome *outcome, const wasaga_effects *effects,
                       exports_wasaga_plugin_steps_wait_t *out) {
  exports_wasaga_plugin_steps_wait_source_t sources[outcome->source_count + 1];
  for (size_t at = 0; at < outcome->source_count; at++) sources[at] = lower_source(&outcome->sources[at]);
  *out = (exports_wasaga_plugin_steps_wait_t){
      .sources = {lower_list(sources, outcome->source_count, sizeof(*sources)), outcome->source_count},
      .timeout_ms = {outcome->has_ms, outcome->ms},
      .effects = lower_effects(effects),
      .undo = lower_optional(outcome->undo),
      .memo = lower_optional(outcome->memo),
  };
}

static bool lower_outcome(const wasaga_outcome *outcome, const wasaga_effects *effects, host_outcome *out,
                          host_failure *failure) {
  if (lower_failure(outcome, failure)) return false;
  if (outcome != NULL && outcome->kind == ENDED_WAIT) {
    out->tag = EXPORTS_WASAGA_PLUGIN_STEPS_OUTCOME_WAIT;
    lower_wait(outcome, effects, &out->val.wait);
    return true;
  }
  out->tag = EXPORTS_WASAGA_PLUGIN_STEPS_OUTCOME_DONE;
  out->val.done = (exports_wasaga_plugin_steps_done_t){
      .output = lower_payload(outcome == NULL ? NULL : outcome->output),
      .undo = lower_optional(outcome == NULL ? NULL : outcome->undo),
      .effects = lower_effects(effects),
  };
  return true;
}

static const wasaga_step *find(const char *name) {
  for (const wasaga_step *step = wasaga_plugin.steps; step != NULL && step->name != NULL; step++)
    if (strcmp(step->name, name) == 0) return step;
  return NULL;
}

static wasaga_outcome *missing(const wasaga_step_task *task, const char *code, const char *what) {
  if (find(task->step) == NULL) return wasaga_permanent("unknown-step", "this plugin has no step \"%s\"", task->step);
  /* What was sent before a wait may have been done. */
  wasaga_outcome *(*failure)(const char *, const char *, ...) =
      task->arrival != NULL ? wasaga_unknown : wasaga_permanent;
  return failure(code, "step \"%s\" does not %s", task->step, what);
}

static bool run(wasaga_step_handler *handler, const wasaga_step_task *task, const char *code, const char *what,
                host_outcome *out, host_failure *failure) {
  wasaga_effects effects = {0};
  const wasaga_outcome *outcome = handler == NULL ? missing(task, code, what) : handler(task, &effects);
  bool succeeded = lower_outcome(outcome, &effects, out, failure);
  call_ends();
  return succeeded;
}

bool exports_wasaga_plugin_steps_guard(host_task *host, exports_wasaga_plugin_steps_verdict_t *out,
                                       host_failure *failure) {
  call_begins();
  wasaga_step_task task = lift_task(host);
  exports_wasaga_plugin_steps_task_free(host);
  const wasaga_step *step = find(task.step);
  const wasaga_outcome *outcome = step == NULL || step->guard == NULL ? NULL : step->guard(&task);
  call_ends();
  if (lower_failure(outcome, failure)) return false;
  out->tag = EXPORTS_WASAGA_PLUGIN_STEPS_VERDICT_PROCEED;
  if (outcome != NULL && outcome->kind == ENDED_SKIP) out->tag = EXPORTS_WASAGA_PLUGIN_STEPS_VERDICT_SKIP;
  if (outcome != NULL && outcome->kind == ENDED_REJECT) {
    out->tag = EXPORTS_WASAGA_PLUGIN_STEPS_VERDICT_REJECT;
    out->val.reject = lower_error(outcome);
  }
  return true;
}

bool exports_wasaga_plugin_steps_execute(host_task *host, host_outcome *out, host_failure *failure) {
  call_begins();
  wasaga_step_task task = lift_task(host);
  exports_wasaga_plugin_steps_task_free(host);
  const wasaga_step *step = find(task.step);
  return run(step == NULL ? NULL : step->execute, &task, "no-execute", "execute", out, failure);
}

static const wasaga_json *take_payload(host_payload *maybe) {
  if (maybe == NULL) return NULL;
  const wasaga_json *value = lift_payload(maybe);
  exports_wasaga_plugin_steps_payload_free(maybe);
  return value;
}

bool exports_wasaga_plugin_steps_resume(host_task *host, host_payload *memo, host_payload *undo,
                                        exports_wasaga_plugin_steps_arrival_t *arrival, host_outcome *out,
                                        host_failure *failure) {
  call_begins();
  wasaga_step_task task = lift_task(host);
  exports_wasaga_plugin_steps_task_free(host);
  task.memo = take_payload(memo);
  task.undo = take_payload(undo);
  wasaga_arrival arrived = lift_arrival(arrival);
  exports_wasaga_plugin_steps_arrival_free(arrival);
  task.arrival = &arrived;
  const wasaga_step *step = find(task.step);
  return run(step == NULL ? NULL : step->resume, &task, "no-resume", "resume", out, failure);
}

bool exports_wasaga_plugin_steps_compensate(host_task *host, host_payload *undo, host_outcome *out,
                                            host_failure *failure) {
  call_begins();
  wasaga_step_task task = lift_task(host);
  exports_wasaga_plugin_steps_task_free(host);
  task.undo = take_payload(undo);
  const wasaga_step *step = find(task.step);
  return run(step == NULL ? NULL : step->compensate, &task, "no-compensate", "compensate", out, failure);
}
