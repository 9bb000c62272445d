// Event-sourced aggregates, in the transaction that commits this step or task: both happen, or neither.

import * as host from "wasaga:plugin/event-store@0.1.0";
import { Retryable } from "./failure.js";
import { fromPayload, toPayload } from "./payload.js";

function call(run) {
  try {
    return run();
  } catch (thrown) {
    const error = thrown?.payload ?? thrown;
    if (error?.tag === "conflict") {
      const at = `somebody else appended: the stream is at version ${error.val}`;
      throw new Retryable("event-conflict", at);
    }
    throw error?.tag === "other" ? new Retryable("event-store", error.val) : thrown;
  }
}

/** A stream of events, and what they come to. A snapshot is kept when `snapshotEvery` events came after the last one. */
export class Stream {
  #id;
  #apply;
  #snapshotEvery;
  #stored = 0;
  #snapshot = 0;
  #recorded = [];

  /** The aggregate as its events left it: `apply(state, type, payload)` returns the next state; `initial` has none. */
  constructor(id, { initial, apply, snapshotEvery = 5 }) {
    this.#id = id;
    this.#apply = apply;
    this.#snapshotEvery = snapshotEvery;
    this.state = initial;
    const [snapshot, events] = call(() => host.load(id));
    if (snapshot) {
      this.state = fromPayload(snapshot.state, "the snapshot");
      this.#stored = this.#snapshot = snapshot.version;
    }
    for (const { version, event } of events) {
      this.state = apply(this.state, event.eventType, fromPayload(event.payload, "an event"));
      this.#stored = version;
    }
  }

  /** How many events it has, those that were recorded included. */
  get version() {
    return this.#stored + this.#recorded.length;
  }

  /** Something happened: it is applied now, and appended by `save`. */
  record(eventType, payload) {
    this.#recorded.push({ eventType, payload: toPayload(payload) });
    this.state = this.#apply(this.state, eventType, payload);
  }

  /** Appends what was recorded. A retryable failure if somebody else appended since it was loaded. */
  save() {
    if (this.#recorded.length === 0) return;
    const stored = call(() => host.append(this.#id, this.#stored, this.#recorded));
    this.#stored = stored;
    this.#recorded = [];
    if (this.#stored - this.#snapshot < this.#snapshotEvery) return;
    const snapshot = { version: this.#stored, state: toPayload(this.state) };
    call(() => host.saveSnapshot(this.#id, snapshot));
    this.#snapshot = this.#stored;
  }
}
