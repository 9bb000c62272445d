// A plugin: its manifest, and its exports.

import { exportLifecycle } from "./lifecycle.js";
import { exportSteps } from "./steps.js";
import { exportTasks } from "./tasks.js";

const withHandler = (topics, kind) =>
  Object.keys(topics).filter((topic) => topics[topic][kind] !== undefined);

/** What is not there is left out. */
const present = (fields) =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value.length !== 0),
  );

function manifestOf({ name, version, sagas, steps, topics, awaits, migrations, capabilities }) {
  const subscriptions = [
    ...withHandler(topics, "handleIn").map((topic) => ({ topic })),
    ...Object.entries(awaits).map(([topic, correlation]) => ({ topic, correlation })),
  ];
  return present({
    name,
    version,
    sagas,
    steps: Object.keys(steps),
    subscriptions,
    out_topics: withHandler(topics, "handleOut"),
    dead_in_topics: withHandler(topics, "handleDeadIn"),
    dead_out_topics: withHandler(topics, "handleDeadOut"),
    migrations: migrations.map(([name, up], index) => ({ version: index + 1, name, up })),
    capabilities,
  });
}

/** The exports of a plugin: `export const { plugin, steps } = definePlugin({ … })`, with those of its world. */
export function definePlugin(definition) {
  const whole = { steps: {}, topics: {}, awaits: {}, migrations: [], ...definition };
  const manifest = JSON.stringify(manifestOf(whole));
  return {
    plugin: { describe: () => manifest },
    steps: exportSteps(whole.steps),
    tasks: exportTasks(whole.topics),
    lifecycle: exportLifecycle(whole.lifecycle ?? (() => {})),
  };
}
