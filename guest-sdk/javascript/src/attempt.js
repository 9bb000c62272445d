// What a handler throws, as the host wants it.

import { Failure, Permanent, Retryable, Unknown } from "./failure.js";
import { milliseconds, optionalPayload } from "./payload.js";
import { place } from "./places.js";

const detail = ({ code, message, data }) => ({ code, message, data: optionalPayload(data) });

function lowerFailure(failure) {
  if (failure instanceof Permanent) return { tag: "permanent", val: detail(failure) };
  if (failure instanceof Unknown) return { tag: "unknown", val: detail(failure) };
  const val = { detail: detail(failure), afterMs: milliseconds(failure.afterMs) };
  return { tag: "retryable", val };
}

/** What is no failure of the SDK is one of the plugin: nobody knows what became of what was sent before a wait. */
function failureOf(thrown, isResumed) {
  if (thrown instanceof Failure) return thrown;
  console.error(thrown);
  const message =
    thrown instanceof Error ? `${thrown.name}: ${thrown.message}${place(thrown.stack)}` : String(thrown);
  return isResumed ? new Unknown("exception", message) : new Retryable("exception", message);
}

export function attempt(handle, { isResumed = false } = {}) {
  try {
    return handle();
  } catch (thrown) {
    throw lowerFailure(failureOf(thrown, isResumed));
  }
}

/** Why a saga failed, as a program reads it. */
export { detail as lowerDetail };
