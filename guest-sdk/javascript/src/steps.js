// The export `steps`: handlers by the name of their step.

import { attempt, lowerDetail } from "./attempt.js";
import { Effects } from "./effects.js";
import { Permanent, Unknown } from "./failure.js";
import { Message } from "./message.js";
import { lowerOutcome } from "./outcome.js";
import { fromPayload } from "./payload.js";

class Reject {
  constructor(code, message, data) {
    Object.assign(this, { code, message, data });
  }
}

/** A guard returns it to pass over its step. */
export const SKIP = Symbol("skip");

/** A guard returns it to fail the saga. */
export function reject(code, message, data) {
  return new Reject(code, message, data);
}

function stepTask({ attempt, input }, more) {
  const { sagaId, businessKey, number, deadlineMs, traceparent, ...same } = attempt;
  return {
    ...same,
    sagaId,
    businessKey: businessKey ?? sagaId,
    attempt: number,
    deadline: new Date(deadlineMs),
    traceparent: traceparent ?? undefined,
    input: fromPayload(input, "the saga's input"),
    ...more,
  };
}

function arrivalOf(arrival) {
  switch (arrival.tag) {
    case "message": {
      const [correlation, message] = arrival.val;
      return { kind: "message", correlation, message: Message.received(message) };
    }
    case "signal": {
      const [name, payload] = arrival.val;
      return { kind: "signal", name, payload: fromPayload(payload, "the signal's payload") };
    }
    case "child": {
      const [name, { sagaId, status, output, error }] = arrival.val;
      const ended = { sagaId, status, output: fromPayload(output, "the child's output"), error };
      return { kind: "child", name, ...ended };
    }
    default:
      return { kind: "timed-out" };
  }
}

function verdict(returned) {
  if (returned === SKIP) return { tag: "skip" };
  if (returned instanceof Reject) return { tag: "reject", val: lowerDetail(returned) };
  return { tag: "proceed" };
}

export function exportSteps(handlers) {
  const handler = (step, kind, missing) => {
    const found = handlers[step]?.[kind];
    if (found) return found.bind(handlers[step]);
    throw handlers[step] ? missing() : new Permanent("unknown-step", `this plugin has no step "${step}"`);
  };
  const call = (task, kind, missing, more) => {
    const effects = new Effects();
    const found = handler(task.attempt.step, kind, missing);
    return lowerOutcome(found(stepTask(task, more()), effects), effects);
  };
  const no = (kind, Failure, task) => () =>
    new Failure(`no-${kind}`, `step "${task.attempt.step}" does not ${kind}`);
  const undone = (undo) => fromPayload(undo, "the undo data");
  return {
    guard: (task) =>
      attempt(() => {
        const guard = handlers[task.attempt.step]?.guard;
        return verdict(guard?.call(handlers[task.attempt.step], stepTask(task)));
      }),
    execute: (task) =>
      attempt(() => call(task, "execute", no("execute", Permanent, task), () => ({}))),
    resume: (task, memo, undo, arrival) =>
      attempt(
        () =>
          call(task, "resume", no("resume", Unknown, task), () => ({
            memo: fromPayload(memo, "the memo"),
            undo: undone(undo),
            arrival: arrivalOf(arrival),
          })),
        { isResumed: true },
      ),
    compensate: (task, undo) =>
      attempt(() =>
        call(task, "compensate", no("compensate", Permanent, task), () => ({ undo: undone(undo) })),
      ),
  };
}
