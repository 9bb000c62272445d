// How a step ends, when it does not fail.

import { milliseconds, optionalPayload, toPayload } from "./payload.js";

class Done {
  constructor(output, undo) {
    this.output = output;
    this.undo = undo;
  }

  lower(effects) {
    const { output, undo } = this;
    return { tag: "done", val: { output: toPayload(output), undo: optionalPayload(undo), effects } };
  }
}

class Wait {
  constructor(sources, { timeoutMs, undo, memo }) {
    this.sources = sources;
    this.timeoutMs = timeoutMs;
    this.undo = undo;
    this.memo = memo;
  }

  lower(effects) {
    const val = {
      sources: this.sources,
      timeoutMs: milliseconds(this.timeoutMs),
      effects,
      undo: optionalPayload(this.undo),
      memo: optionalPayload(this.memo),
    };
    return { tag: "wait", val };
  }
}

/** The step is done: what later steps and the saga's reader see, and what `compensate` needs to undo it. */
export function done(output, { undo } = {}) {
  return new Done(output, undo);
}

/** Waits, without holding anything, for the first of the sources. `memo` is handed back to `resume`. */
export function wait(sources, options = {}) {
  return new Wait([sources].flat(), options);
}

/** Waits for time to pass. */
export function sleep(timeoutMs, options = {}) {
  return new Wait([], { ...options, timeoutMs });
}

/** The next message of a topic with this correlation key; one that came early counts. */
export function message(topic, correlation) {
  return { tag: "message", val: { topic, correlation } };
}

/** The next signal of this name. */
export function signal(name) {
  return { tag: "signal", val: name };
}

/** The end of the child of this name. */
export function child(name) {
  return { tag: "child", val: name };
}

/** What a handler returned, as the host wants it: anything else than an outcome is the output. */
export function lowerOutcome(returned, effects) {
  const outcome = returned instanceof Done || returned instanceof Wait ? returned : done(returned);
  return outcome.lower(effects.lower());
}
