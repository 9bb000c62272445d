/** Write wasaga plugins in JavaScript or TypeScript: see README.md. */

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

// ---- Plugins

/** The exports of a plugin. A module exports those of its world: `export const { plugin, steps } = definePlugin({ … })`. */
export interface Exports {
  plugin: object;
  steps: object;
  tasks: object;
  lifecycle: object;
}

export interface Definition {
  /** a to z, 0 to 9 and `-`, at most 40 characters; unique on a host. */
  name: string;
  /** Semantic, as "1.2.3". */
  version: string;
  /** Saga definitions. */
  sagas?: Saga[];
  /** Handlers by the name of their step, of this plugin's sagas and of others'. */
  steps?: { [step: string]: StepHandlers };
  /** Handlers by topic. */
  topics?: { [topic: string]: TopicHandlers };
  /** Topics whose messages answer waiting steps, and where in them the correlation key is. */
  awaits?: { [topic: string]: Locator };
  /** Hears what happens in the lives of this plugin's sagas. */
  lifecycle?: (happened: Happened, effects: Effects) => void;
  /** Name and SQL of what makes the plugin's tables, in order. One that was applied must not change. */
  migrations?: [name: string, up: string][];
  /** What the plugin asks for; what it gets is the operator's grant. */
  capabilities?: Capabilities;
}

export function definePlugin(definition: Definition): Exports;

/** Where in a record something is. */
export type Locator = "key" | { header: string } | { json_pointer: string };

export interface Capabilities {
  /** SQL in its own schema. */
  sql?: boolean;
  /** Event-sourced aggregates. */
  event_store?: boolean;
  /** Hosts it calls; `*.example.com` covers subdomains. */
  http_hosts?: string[];
  /** Topics it sends to; `orders.*` covers a prefix. */
  topics?: string[];
  /** Keys of the configuration that it reads. */
  config_keys?: string[];
  /** Secrets that it reads, as configuration. */
  secrets?: string[];
}

/** A saga definition. One of the same name and version never changes its content. */
export interface Saga {
  name: string;
  /** From 1. */
  version: number;
  steps: Step[];
  triggers?: Trigger[];
  /** From the start to its undoing. */
  deadline_ms?: number;
  /** JSON Schema: a start whose input does not fit is refused at the door. */
  input_schema?: object | boolean;
  /** Where its life is published. */
  lifecycle_topic?: string;
  /** Sagas keep the code that they started with. */
  pin_workers?: boolean;
}

export interface Step {
  name: string;
  /** The plugin that runs it, when it is not this one. */
  worker?: string;
  /** Its predecessors, when they are not the step before it; empty: it starts at once. */
  after?: string[];
  /** Ask `guard` first. */
  guarded?: boolean;
  /** The bound of an attempt, its wait included unless the wait names its own. */
  timeout_ms: number;
  retry: Retry;
  compensation?: "none" | { undo: Undo };
  /** Past it the saga only goes forward. */
  pivot?: boolean;
}

/** When to try again. `max_attempts` counts the first; absent: without end. */
export type Retry =
  | { never: Record<string, never> }
  | { fixed: { delay_ms: number; max_attempts?: number } }
  | {
      exponential: {
        initial_ms: number;
        multiplier: number;
        max_delay_ms: number;
        max_attempts?: number;
        /** 0 to 1: the part of the delay that chance takes away. */
        jitter?: number;
      };
    };

export interface Undo {
  retry: Retry;
  timeout_ms: number;
  /** When the attempts are exhausted: stop and ask for an operator (the default), or go on with the other undos. */
  on_failure?: "needs_attention" | "go_on";
}

export type Trigger =
  | { http: { path: string; key_name: string; message?: string } }
  | { topic: { topic: string; business_key: Locator } }
  | { schedule: string | { cron: string; misfire?: "skip" | "once" | "all"; input?: Json } };

// ---- Steps

/** An attempt of a step; `Input` is the saga's input. */
export interface StepTask<Input = any> {
  sagaId: string;
  /** The definition's name. */
  saga: string;
  definitionVersion: number;
  /** The saga's id when it was started without one. */
  businessKey: string;
  step: string;
  direction: "forward" | "undo";
  /** From 1. */
  attempt: number;
  /** The same for every attempt of this step in this direction: hand it to whatever you call. */
  idempotencyKey: string;
  /** The forward attempts' key: what an undo undoes. */
  forwardKey: string;
  deadline: Date;
  /** W3C trace context. */
  traceparent?: string;
  input: Input;
}

/** In `compensate`: what the step kept; absent where it ended unknown before it had returned any. */
export interface UndoTask<Input = any, Undone = any> extends StepTask<Input> {
  undo?: Undone;
}

/** In `resume`, after a wait of `execute` or of `compensate`: `direction` tells which. */
export interface ResumeTask<Input = any, Undone = any, Memo = any> extends UndoTask<Input, Undone> {
  memo?: Memo;
  arrival: Arrival;
}

export interface ErrorDetail {
  code: string;
  message: string;
}

export type Arrival =
  | { kind: "message"; correlation: string; message: Message }
  | { kind: "signal"; name: string; payload: any }
  | { kind: "child"; name: string; sagaId: string; status: string; output?: any; error?: ErrorDetail }
  | { kind: "timed-out" };

/** Handlers return `done(…)`, `wait(…)` or the output itself, and throw `Retryable`, `Permanent` or `Unknown`. */
export interface StepHandlers<Input = any, Undone = any> {
  /** Asked before `execute` where the step is `guarded`. */
  guard?(task: StepTask<Input>): void | typeof SKIP | Reject;
  execute?(task: StepTask<Input>, effects: Effects): unknown;
  resume?(task: ResumeTask<Input, Undone>, effects: Effects): unknown;
  compensate?(task: UndoTask<Input, Undone>, effects: Effects): unknown;
}

export interface Reject {
  code: string;
  message: string;
}

/** A guard returns it to pass over its step. */
export const SKIP: unique symbol;
/** A guard returns it to fail the saga. */
export function reject(code: string, message: string, data?: Json): Reject;

export interface Outcome {
  readonly undo?: unknown;
}

/** The step is done: what later steps and the saga's reader see, and what `compensate` needs to undo it. */
export function done(output?: unknown, options?: { undo?: unknown }): Outcome;
/** Waits, without holding anything, for the first of the sources. `memo` is handed back to `resume`. */
export function wait(
  sources: WaitSource | WaitSource[],
  options?: { timeoutMs?: number; undo?: unknown; memo?: unknown },
): Outcome;
/** Waits for time to pass. */
export function sleep(timeoutMs: number, options?: { undo?: unknown; memo?: unknown }): Outcome;

export interface WaitSource {
  readonly tag: string;
}

/** The next message of a topic with this correlation key; one that came early counts. */
export function message(topic: string, correlation: string): WaitSource;
/** The next signal of this name. */
export function signal(name: string): WaitSource;
/** The end of the child of this name. */
export function child(name: string): WaitSource;

// ---- Failures

/** `code` is short and stable, as "payment-declined"; the message is a sentence for the operator. */
export class Failure extends Error {
  constructor(code: string, message: string, data?: unknown);
  readonly code: string;
  readonly data?: unknown;
}

/** This attempt did nothing: try again under the step's policy, and not before `afterMs`. */
export class Retryable extends Failure {
  constructor(code: string, message: string, options?: { afterMs?: number; data?: unknown });
}

/** The effect has certainly not happened and never will: no retry, no undo of this step. */
export class Permanent extends Failure {}

/** The effect may have happened: retried under the policy, and undone when the saga fails. */
export class Unknown extends Failure {}

// ---- Messages and effects

/** A Kafka record; without a value it is a tombstone. */
export class Message {
  constructor(
    topic: string,
    content?: {
      key?: string | Uint8Array;
      headers?: { [name: string]: string | Uint8Array };
      json?: unknown;
      value?: string | Uint8Array;
    },
  );
  topic: string;
  key?: Uint8Array;
  headers: { name: string; value: Uint8Array }[];
  value?: Uint8Array;
  /** The key, where it is UTF-8. */
  readonly keyText?: string;
  /** One more header; the same name may come more than once. */
  header(name: string, value: string | Uint8Array): this;
  /** The last header of this name that is UTF-8. */
  headerText(name: string): string | undefined;
  /** The same; a permanent failure that names the header when it is missing. */
  requireHeader(name: string): string;
  /** The value as JSON; a permanent failure if there is none, or it is not JSON. */
  json<Value = any>(): Value;
}

export type SagaTarget = { id: string } | { saga: string; businessKey: string };

/** What is committed with the handler's result, exactly once. */
export interface Effects {
  /** Sends a message; `rollback` is published instead when it is given up. */
  send(message: Message, options?: { rollback?: Message }): void;
  /** Starts a saga. Under one business key it is started once; a `child` can be waited for. */
  start(saga: string, input: unknown, options?: { businessKey?: string; child?: string }): void;
  signal(target: SagaTarget, name: string, payload?: unknown): void;
  /** Asks a saga to turn back. */
  cancel(target: SagaTarget): void;
}

// ---- Tasks

export interface FlowTask {
  id: string;
  attempt: number;
  idempotencyKey: string;
  deadline: Date;
  traceparent?: string;
  message: Message;
}

export interface DeadTask extends FlowTask {
  /** Why it was given up. */
  reason: ErrorDetail;
}

export interface TopicHandlers {
  /** A message of this topic. */
  handleIn?(task: FlowTask, effects: Effects): void;
  /** A message on its way to this topic: what is published in its place, or `DROP`. */
  handleOut?(task: FlowTask): Message | typeof DROP;
  /** A message of this topic that was given up. Success ends the dead letter. */
  handleDeadIn?(dead: DeadTask, effects: Effects): void;
  /** A message to this topic that was given up: what is published in its place, or `DROP`. */
  handleDeadOut?(dead: DeadTask): Message | typeof DROP;
}

/** `handleOut` and `handleDeadOut` return it to publish nothing. */
export const DROP: unique symbol;

// ---- Lifecycle

export type Happened = {
  sagaId: string;
  saga: string;
  /** The same however often the event is handed over. */
  eventId: string;
} & (
  | { kind: "started" }
  | { kind: "step-succeeded" | "step-compensated"; step: string }
  | { kind: "step-failed"; step: string; error: ErrorDetail }
  | { kind: "completed"; output: any }
  | { kind: "failed" | "compensated" | "needs-attention"; error: ErrorDetail }
);

// ---- The host

/** SQL in the transaction that commits this step or task; needs `capabilities.sql`. */
export namespace sql {
  type Parameter = null | undefined | boolean | number | bigint | string | Uint8Array | Typed;
  interface Typed {
    readonly tag: string;
  }
  /** Parameters whose type JavaScript does not tell. A bigint is numeric. */
  function json(value: unknown): Typed;
  function uuid(text: string): Typed;
  function numeric(text: string | number): Typed;
  function timestamp(date: Date): Typed;
  /** The rows of a statement: objects by the names of their columns. Integers beyond 2^53 lose digits: select them as text. */
  function query<Row = any>(statement: string, ...parameters: Parameter[]): Row[];
  /** The one row, or undefined; a permanent failure when there are more. */
  function queryOne<Row = any>(statement: string, ...parameters: Parameter[]): Row | undefined;
  /** Runs a statement, and says how many rows it touched. */
  function execute(statement: string, ...parameters: Parameter[]): number;
}

/** An event-sourced aggregate, in the same transaction; needs `capabilities.event_store`. */
export class Stream<State> {
  constructor(
    id: string,
    aggregate: {
      initial: State;
      /** The next state. */
      apply: (state: State, eventType: string, payload: any) => State;
      /** A snapshot is kept when so many events came after the last one; 5 by default. */
      snapshotEvery?: number;
    },
  );
  readonly state: State;
  /** How many events it has, those that were recorded included. */
  readonly version: number;
  /** Something happened: it is applied now, and appended by `save`. */
  record(eventType: string, payload?: unknown): void;
  /** Appends what was recorded. A retryable failure if somebody else appended since it was loaded. */
  save(): void;
}

/** What the running saga has done so far. Only steps may ask. */
export namespace context {
  /** The names of the finished steps, in the order in which they finished. */
  function finishedSteps(): string[];
  /** What this step returned; undefined if it is not done. */
  function output<Output = any>(step: string): Output | undefined;
  /** The same; a permanent failure if it is not done. */
  function requireOutput<Output = any>(step: string): Output;
  /** Why the saga is being undone; undefined while it goes forward. */
  function cause(): ErrorDetail | undefined;
}

/** What the operator configured; needs `capabilities.config_keys`. */
export namespace config {
  function configured(key: string): string | undefined;
  /** The same; a permanent failure that names the key when there is none. */
  function requireConfigured(key: string): string;
}

/** HTTP out; needs `capabilities.http_hosts`. */
export namespace http {
  interface Response {
    status: number;
    /** By their names in lower case. */
    headers: { [name: string]: string | undefined };
    body: Uint8Array;
    text(): string | undefined;
    json<Value = any>(): Value;
  }
  function request(
    method: string,
    url: string,
    options?: {
      headers?: { [name: string]: string };
      json?: unknown;
      body?: string | Uint8Array;
      timeoutMs?: number;
    },
  ): Response;
}

declare global {
  /** The plugin's log, which the host writes with the plugin's and the saga's name. */
  const console: Record<"trace" | "debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;
  const crypto: {
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    randomUUID(): string;
  };
  class TextEncoder {
    encode(text?: string): Uint8Array;
  }
  class TextDecoder {
    decode(bytes?: Uint8Array): string;
  }
}
