// Kafka records, as they come in and as they go out.

import { Permanent } from "./failure.js";
import { parse } from "./payload.js";
import { decode, encode } from "./text.js";

const bytes = (value) => (typeof value === "string" ? encode(value) : value);

/** A record. `key` and `value` are bytes or undefined; a record without a value is a tombstone. */
export class Message {
  constructor(topic, { key, headers = {}, json, value } = {}) {
    this.topic = topic;
    this.key = key === undefined ? undefined : bytes(key);
    this.headers = [];
    for (const [name, held] of Object.entries(headers)) this.header(name, held);
    this.value = json === undefined ? value && bytes(value) : encode(JSON.stringify(json));
  }

  /** One more header; the same name may come more than once. */
  header(name, value) {
    this.headers.push({ name, value: bytes(value) });
    return this;
  }

  /** The key, where it is UTF-8. */
  get keyText() {
    return this.key && decode(this.key);
  }

  /** The last header of this name that is UTF-8. */
  headerText(name) {
    const named = this.headers.filter((header) => header.name === name);
    return named.length === 0 ? undefined : decode(named[named.length - 1].value);
  }

  /** The same; a permanent failure that names the header when it is missing. */
  requireHeader(name) {
    const text = this.headerText(name);
    if (text !== undefined) return text;
    const missing = `a record of topic "${this.topic}" has no text header "${name}"`;
    throw new Permanent("missing-header", missing);
  }

  /** The value as JSON; a permanent failure if there is none, or it is not JSON. */
  json() {
    if (this.value !== undefined) return parse(this.value, `a record of topic "${this.topic}"`);
    throw new Permanent("missing-value", `a record of topic "${this.topic}" has no value`);
  }

  /** The record as the host hands it over. */
  static received({ topic, key, headers, value }) {
    const message = new Message(topic);
    message.key = key ?? undefined;
    message.headers = headers;
    message.value = value ?? undefined;
    return message;
  }

  lower() {
    const { topic, key, headers, value } = this;
    return { topic, key, headers, value };
  }
}
