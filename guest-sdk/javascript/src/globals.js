// What JavaScript expects around it and the engine lacks, by the host's interfaces: a console, time, chance, text codecs.

import { nowMs, randomBytes } from "wasaga:plugin/ambient@0.1.0";
import { log } from "wasaga:plugin/logging@0.1.0";
import { traced } from "./places.js";
import { decode, encode } from "./text.js";

const shown = (value) => {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}\n${traced(value.stack)}`.trimEnd();
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};
const at = (level) => (...values) => log(level, values.map(shown).join(" "));
globalThis.console = {
  trace: at("trace"),
  debug: at("debug"),
  log: at("info"),
  info: at("info"),
  warn: at("warn"),
  error: at("error"),
};

const now = () => nowMs();
globalThis.Date = class extends Date {
  constructor(...values) {
    super(...(values.length === 0 ? [now()] : values));
  }
  static now() {
    return now();
  }
};

const random = (length) => Uint8Array.from(randomBytes(length));
Math.random = () => {
  const [high, low] = new Uint32Array(random(8).buffer);
  return ((high >>> 6) * 2 ** 27 + (low >>> 5)) / 2 ** 53;
};
globalThis.crypto = {
  getRandomValues(array) {
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(random(array.byteLength));
    return array;
  },
  randomUUID() {
    const bytes = random(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  },
};

globalThis.TextEncoder = class TextEncoder {
  encode(text = "") {
    return encode(String(text));
  }
};
globalThis.TextDecoder = class TextDecoder {
  decode(bytes = new Uint8Array()) {
    const text = decode(bytes);
    if (text === undefined) throw new TypeError("the bytes are no UTF-8");
    return text;
  }
};
