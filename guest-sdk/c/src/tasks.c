/* The export `tasks`: handlers by topic. */

#include <string.h>

#include "boundary.h"

typedef exports_wasaga_plugin_tasks_task_t host_task;
typedef exports_wasaga_plugin_tasks_dead_task_t host_dead;
typedef exports_wasaga_plugin_tasks_list_effect_t host_effects;
typedef exports_wasaga_plugin_tasks_outbound_t host_outbound;
typedef exports_wasaga_plugin_tasks_failure_t host_failure;

static wasaga_flow_task lift_task(const host_task *task) {
  return (wasaga_flow_task){
      .id = lift_text(&task->id),
      .attempt = task->attempt,
      .idempotency_key = lift_text(&task->idempotency_key),
      .deadline_ms = task->deadline_ms,
      .traceparent = lift_optional_text(&task->traceparent),
      .message = lift_message(&task->message),
  };
}

static wasaga_flow_task take_task(host_task *host) {
  call_begins();
  wasaga_flow_task task = lift_task(host);
  exports_wasaga_plugin_tasks_task_free(host);
  return task;
}

static wasaga_flow_task take_dead(host_dead *host) {
  call_begins();
  wasaga_flow_task task = lift_task(&host->task);
  task.reason = lift_error(&host->reason);
  exports_wasaga_plugin_tasks_dead_task_free(host);
  return task;
}

static wasaga_topic find(const wasaga_flow_task *task) {
  for (const wasaga_topic *topic = wasaga_plugin.topics; topic != NULL && topic->name != NULL; topic++)
    if (strcmp(topic->name, wasaga_message_topic(task->message)) == 0) return *topic;
  return (wasaga_topic){0};
}

static wasaga_outcome *missing(const wasaga_flow_task *task) {
  const char *topic = wasaga_message_topic(task->message);
  return wasaga_permanent("not-handled", "no handler for messages of topic \"%s\"", topic);
}

static bool run_in(wasaga_in_handler *handler, const wasaga_flow_task *task, host_effects *out, host_failure *failure) {
  wasaga_effects effects = {0};
  const wasaga_outcome *outcome = handler == NULL ? missing(task) : handler(task, &effects);
  call_ends();
  if (lower_failure(outcome, failure)) return false;
  *out = (host_effects){lower_list(effects.list, effects.count, sizeof(*effects.list)), effects.count};
  return true;
}

static bool run_out(wasaga_out_handler *handler, const wasaga_flow_task *task, host_outbound *out,
                    host_failure *failure) {
  const wasaga_outcome *outcome = handler == NULL ? missing(task) : handler(task);
  call_ends();
  if (lower_failure(outcome, failure)) return false;
  out->tag = EXPORTS_WASAGA_PLUGIN_TASKS_OUTBOUND_DROP;
  if (outcome != NULL && outcome->kind == ENDED_PUBLISH) {
    out->tag = EXPORTS_WASAGA_PLUGIN_TASKS_OUTBOUND_PUBLISH;
    out->val.publish = lower_message(outcome->publish);
  }
  return true;
}

bool exports_wasaga_plugin_tasks_handle_in(host_task *host, host_effects *out, host_failure *failure) {
  wasaga_flow_task task = take_task(host);
  return run_in(find(&task).handle_in, &task, out, failure);
}

bool exports_wasaga_plugin_tasks_handle_out(host_task *host, host_outbound *out, host_failure *failure) {
  wasaga_flow_task task = take_task(host);
  return run_out(find(&task).handle_out, &task, out, failure);
}

bool exports_wasaga_plugin_tasks_handle_dead_in(host_dead *host, host_effects *out, host_failure *failure) {
  wasaga_flow_task task = take_dead(host);
  return run_in(find(&task).handle_dead_in, &task, out, failure);
}

bool exports_wasaga_plugin_tasks_handle_dead_out(host_dead *host, host_outbound *out, host_failure *failure) {
  wasaga_flow_task task = take_dead(host);
  return run_out(find(&task).handle_dead_out, &task, out, failure);
}
