// What is committed with the result of a handler, exactly once.

import { toPayload } from "./payload.js";

/** A saga by its id, or by its definition and business key. */
const target = ({ id, saga, businessKey }) =>
  id === undefined ? { tag: "business-key", val: [saga, businessKey] } : { tag: "id", val: id };

export class Effects {
  #list = [];

  /** Sends a message; `rollback` is published instead when it is given up. */
  send(message, { rollback } = {}) {
    const outgoing = { message: message.lower(), rollback: rollback?.lower() };
    this.#list.push({ tag: "send", val: outgoing });
  }

  /** Starts a saga. Under one business key it is started once; a `child` can be waited for. */
  start(saga, input, { businessKey, child } = {}) {
    this.#list.push({ tag: "start", val: { saga, businessKey, input: toPayload(input), child } });
  }

  /** Sends a signal to a saga: `{ id }` or `{ saga, businessKey }`. */
  signal(of, name, payload) {
    const val = { target: target(of), name, payload: toPayload(payload) };
    this.#list.push({ tag: "signal", val });
  }

  /** Asks a saga to turn back. */
  cancel(of) {
    this.#list.push({ tag: "cancel", val: target(of) });
  }

  lower() {
    return this.#list;
  }
}
