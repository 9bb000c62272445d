// JSON in and out of payloads.

import { Permanent } from "./failure.js";
import { decode, encode } from "./text.js";

const JSON_TYPE = "application/json";

export function toPayload(value) {
  return { contentType: JSON_TYPE, data: encode(JSON.stringify(value ?? null)) };
}

export function optionalPayload(value) {
  return value === undefined ? undefined : toPayload(value);
}

/** Whole milliseconds. The engine's 64-bit integers are numbers. */
export function milliseconds(duration) {
  return duration === undefined ? undefined : Math.round(duration);
}

export function parse(bytes, what) {
  const text = decode(bytes);
  try {
    if (text !== undefined) return JSON.parse(text);
  } catch (error) {
    throw new Permanent("undecodable-json", `${what} is not JSON: ${error.message}`);
  }
  throw new Permanent("undecodable-json", `${what} is not JSON: it is no UTF-8`);
}

export function fromPayload(payload, what) {
  return payload === undefined || payload === null ? undefined : parse(payload.data, what);
}
