/* A saga of two steps. Nobody is greeted who is called `nobody`: then the first step is undone. */

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wasaga.h>

#include "payloads.h"

static wasaga_outcome *write_card(const wasaga_step_task *task, wasaga_effects *effects) {
  (void)effects;
  struct greeting greeting;
  wasaga_outcome *misfit = greeting_read(task->input, &greeting);
  if (misfit != NULL) return misfit;
  bool formal = greeting.style != NULL && *greeting.style == GREETING_STYLE_FORMAL;
  char card[300];
  snprintf(card, sizeof(card), formal ? "Good day, %s." : "Hello, %s!", greeting.name);
  wasaga_json *output = wasaga_set(wasaga_object(), "card", wasaga_text(card));
  const wasaga_json *undo = greeting_json(&greeting);
  return wasaga_done(output, undo);
}

static wasaga_outcome *tear_up(const wasaga_step_task *task, wasaga_effects *effects) {
  (void)effects;
  struct greeting written = {.name = "somebody"};
  wasaga_outcome *misfit = task->undo == NULL ? NULL : greeting_read(task->undo, &written);
  if (misfit != NULL) return misfit;
  printf("the card for %s is torn up\n", written.name);
  return NULL;
}

static wasaga_outcome *say(const wasaga_step_task *task, wasaga_effects *effects) {
  (void)effects;
  struct greeting greeting;
  wasaga_outcome *misfit = greeting_read(task->input, &greeting);
  if (misfit != NULL) return misfit;
  const char *name = greeting.name;
  if (strcmp(name, "nobody") == 0) return wasaga_permanent("nobody-there", "there is nobody to greet");
  // Time and chance are the host's. An output has neither: the step returns the same when it runs again.
  uint32_t number;
  wasaga_random(&number, sizeof(number));
  char at[32];
  time_t now = time(NULL);
  strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  printf("%s is greeted at %s, number %08x\n", name, at, (unsigned)number);
  return wasaga_done(wasaga_set(wasaga_object(), "said_to", wasaga_text(name)), NULL);
}

static const wasaga_step STEPS[] = {
    {.name = "write", .execute = write_card, .compensate = tear_up},
    {.name = "say", .execute = say},
    {0},
};

const wasaga_definition wasaga_plugin = {
    .manifest = WASAGA_MANIFEST({
      "name": "{{name}}",
      "version": "0.1.0",
      "steps": ["write", "say"],
      "sagas": [{
        "name": "{{name}}",
        "version": 1,
        "steps": [
          {"name": "write", "timeout_ms": 30000,
           "retry": {"exponential": {"initial_ms": 200, "multiplier": 2, "max_delay_ms": 10000, "max_attempts": 5}},
           "compensation": {"undo": {
             "timeout_ms": 30000,
             "retry": {"exponential": {"initial_ms": 200, "multiplier": 2, "max_delay_ms": 10000, "max_attempts": 5}}
           }}},
          {"name": "say", "timeout_ms": 30000,
           "retry": {"exponential": {"initial_ms": 200, "multiplier": 2, "max_delay_ms": 10000, "max_attempts": 5}}}
        ],
        "triggers": [{"http": {"path": "/api/v1/greetings/{{name}}", "key_name": "greeting_id"}}],
        "input_schema":) GREETING_SCHEMA WASAGA_MANIFEST(
      }]
    }),
    .steps = STEPS,
};
