// A saga of two steps. Nobody is greeted who is called `nobody`: then the first step is undone.

import { Permanent, definePlugin, done, type StepHandlers } from "wasaga-guest";

import greetingSchema from "../schemas/greeting.json";
import type { Greeting } from "./payloads";

const write: StepHandlers<Greeting, Greeting> = {
  execute({ input }) {
    const card = input.style === "formal" ? `Good day, ${input.name}.` : `Hello, ${input.name}!`;
    return done({ card }, { undo: input });
  },
  compensate({ undo }) {
    console.info(`the card for ${undo?.name ?? "somebody"} is torn up`);
  },
};

const say: StepHandlers<Greeting> = {
  execute({ input: { name } }) {
    if (name === "nobody") throw new Permanent("nobody-there", "there is nobody to greet");
    // Time and chance are the host's. An output has neither: the step returns the same when it runs again.
    console.info(`${name} is greeted at ${new Date().toISOString()}, number ${crypto.randomUUID()}`);
    return { said_to: name };
  },
};

const retry = { exponential: { initial_ms: 200, multiplier: 2, max_delay_ms: 10_000, max_attempts: 5 } };

export const { plugin, steps } = definePlugin({
  name: "{{name}}",
  version: "0.1.0",
  sagas: [
    {
      name: "{{name}}",
      version: 1,
      steps: [
        { name: "write", timeout_ms: 30_000, retry, compensation: { undo: { retry, timeout_ms: 30_000 } } },
        { name: "say", timeout_ms: 30_000, retry },
      ],
      triggers: [{ http: { path: "/api/v1/greetings/{{name}}", key_name: "greeting_id" } }],
      input_schema: greetingSchema,
    },
  ],
  steps: { write, say },
});
