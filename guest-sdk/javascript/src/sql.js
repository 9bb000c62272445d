// SQL inside the transaction that commits this step or task: both happen, or neither.

import * as host from "wasaga:plugin/sql@0.1.0";
import { Permanent, Retryable } from "./failure.js";

class Typed {
  constructor(tag, val) {
    Object.assign(this, { tag, val });
  }
}

/** Parameters whose type JavaScript does not tell. */
export const json = (value) => new Typed("json", JSON.stringify(value));
export const uuid = (text) => new Typed("uuid", text);
export const numeric = (text) => new Typed("numeric", String(text));
export const timestamp = (date) => new Typed("timestamp", date.toISOString());

function lower(value) {
  if (value === null || value === undefined) return { tag: "null" };
  if (value instanceof Typed) return { tag: value.tag, val: value.val };
  if (value instanceof Uint8Array) return { tag: "bytes", val: value };
  switch (typeof value) {
    case "boolean":
      return { tag: "boolean", val: value };
    case "bigint":
      // The engine has numbers only.
      return { tag: "numeric", val: String(value) };
    case "number":
      return { tag: Number.isSafeInteger(value) ? "int64" : "float64", val: value };
    case "string":
      return { tag: "text", val: value };
    default:
      throw new TypeError(`${typeof value} is no SQL value: use json(), or one of the others`);
  }
}

function lift({ tag, val }) {
  switch (tag) {
    case "null":
      return null;
    case "json":
      return JSON.parse(val);
    default:
      return val;
  }
}

/** What another attempt cannot change (bad data, a wrong or forbidden statement) is permanent. */
function failure(thrown) {
  const { code, message } = thrown?.payload ?? thrown ?? {};
  if (typeof code !== "string" || thrown instanceof TypeError) return thrown;
  const Failure = ["0A", "22", "42"].includes(code.slice(0, 2)) ? Permanent : Retryable;
  return new Failure(`sql-${code}`, message);
}

function call(run) {
  try {
    return run();
  } catch (thrown) {
    throw failure(thrown);
  }
}

/** Runs a statement that returns rows: objects by the names of their columns. Integers beyond 2^53 lose digits: select them as text. */
export function query(statement, ...parameters) {
  const { columns, rows } = call(() => host.query(statement, parameters.map(lower)));
  const object = (row) => Object.fromEntries(row.map((value, at) => [columns[at].name, lift(value)]));
  return rows.map(object);
}

/** The one row, or undefined; a permanent failure when there are more. */
export function queryOne(statement, ...parameters) {
  const rows = query(statement, ...parameters);
  if (rows.length < 2) return rows[0];
  throw new Permanent("sql-P0003", `the query returned ${rows.length} rows, not one`);
}

/** Runs a statement, and says how many rows it touched. */
export function execute(statement, ...parameters) {
  return call(() => host.execute(statement, parameters.map(lower)));
}
