// What the running saga has done so far. Only steps may ask.

import * as host from "wasaga:plugin/context@0.1.0";
import { Permanent } from "./failure.js";
import { fromPayload } from "./payload.js";

/** The names of the finished steps, in the order in which they finished. */
export function finishedSteps() {
  return host.finishedSteps();
}

/** What this step returned; undefined if it is not done. */
export function output(step) {
  return fromPayload(host.output(step), `the output of step "${step}"`);
}

/** The same; a permanent failure if it is not done. */
export function requireOutput(step) {
  const found = output(step);
  if (found !== undefined) return found;
  throw new Permanent("step-not-done", `step "${step}" of this saga has no output`);
}

/** Why the saga is being undone: its code and message; undefined while it goes forward. */
export function cause() {
  return host.cause() ?? undefined;
}
