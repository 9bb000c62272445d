// The export `tasks`: handlers by topic.

import { attempt } from "./attempt.js";
import { Effects } from "./effects.js";
import { Permanent } from "./failure.js";
import { Message } from "./message.js";

/** `handleOut` and `handleDeadOut` return it to publish nothing. */
export const DROP = Symbol("drop");

function flowTask({ attempt, deadlineMs, traceparent, message, ...same }, more) {
  return {
    ...same,
    attempt,
    deadline: new Date(deadlineMs),
    traceparent: traceparent ?? undefined,
    message: Message.received(message),
    ...more,
  };
}

function outbound(returned) {
  return returned instanceof Message ? { tag: "publish", val: returned.lower() } : { tag: "drop" };
}

export function exportTasks(topics) {
  const handler = (topic, kind) => {
    const found = topics[topic]?.[kind];
    if (found) return found.bind(topics[topic]);
    throw new Permanent("not-handled", `no ${kind} for messages of topic "${topic}"`);
  };
  const effects = (kind, task, more) =>
    attempt(() => {
      const collected = new Effects();
      handler(task.message.topic, kind)(flowTask(task, more), collected);
      return collected.lower();
    });
  const publishes = (kind, task, more) =>
    attempt(() => outbound(handler(task.message.topic, kind)(flowTask(task, more))));
  return {
    handleIn: (task) => effects("handleIn", task),
    handleOut: (task) => publishes("handleOut", task),
    handleDeadIn: ({ task, reason }) => effects("handleDeadIn", task, { reason }),
    handleDeadOut: ({ task, reason }) => publishes("handleDeadOut", task, { reason }),
  };
}
