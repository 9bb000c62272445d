/* The step `calculate_tax` of the order saga: how much of an order's amount is tax. Prices contain it. */

#include <math.h>
#include <wasaga.h>

enum { RATE_PERCENT = 20 };

/* Quantity times price, the price rounded to whole cents. The saga's schema bounds both. */
static bool cents_of(const wasaga_json *line, int64_t *cents) {
  int64_t quantity;
  double price;
  if (!wasaga_as_integer(wasaga_get(line, "quantity"), &quantity)) return false;
  if (!wasaga_as_double(wasaga_get(line, "price"), &price)) return false;
  *cents = llround(price * 100) * quantity;
  return true;
}

static wasaga_outcome *calculate_tax(const wasaga_step_task *task, wasaga_effects *effects) {
  (void)effects;
  const wasaga_json *items = wasaga_get(task->input, "items");
  int64_t amount = 0;
  for (size_t at = 0; at < wasaga_size(items); at++) {
    int64_t cents;
    if (!cents_of(wasaga_at(items, at), &cents))
      return wasaga_permanent("bad-order", "item %zu of the order has no quantity and price", at);
    amount += cents;
  }
  /* Rounded half up. */
  int64_t tax = (2 * amount * RATE_PERCENT + 100 + RATE_PERCENT) / (2 * (100 + RATE_PERCENT));
  wasaga_json *output = wasaga_object();
  wasaga_set(output, "rate_percent", wasaga_integer(RATE_PERCENT));
  wasaga_set(output, "net_cents", wasaga_integer(amount - tax));
  wasaga_set(output, "tax_cents", wasaga_integer(tax));
  return wasaga_done(output, NULL);
}

static const wasaga_step STEPS[] = {
    {.name = "calculate_tax", .execute = calculate_tax},
    {0},
};

const wasaga_definition wasaga_plugin = {
    .manifest = WASAGA_MANIFEST({"name": "tax", "version": "0.1.0", "steps": ["calculate_tax"]}),
    .steps = STEPS,
};
