// The export `lifecycle`: what happens in the lives of the sagas that this plugin defines.

import { attempt } from "./attempt.js";
import { Effects } from "./effects.js";
import { fromPayload } from "./payload.js";

function eventOf({ tag, val }) {
  switch (tag) {
    case "started":
      return { kind: tag };
    case "step-succeeded":
    case "step-compensated":
      return { kind: tag, step: val };
    case "step-failed":
      return { kind: tag, step: val[0], error: val[1] };
    case "completed":
      return { kind: tag, output: fromPayload(val, "the saga's output") };
    default:
      return { kind: tag, error: val };
  }
}

export function exportLifecycle(handle) {
  return {
    onEvent: (sagaId, saga, eventId, event) =>
      attempt(() => {
        const effects = new Effects();
        handle({ sagaId, saga, eventId, ...eventOf(event) }, effects);
        return effects.lower();
      }),
  };
}
