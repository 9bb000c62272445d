// What the operator configured for this plugin: only keys that the manifest's `config_keys` name are seen.

import { get } from "wasaga:plugin/config@0.1.0";
import { Permanent } from "./failure.js";

/** The value under this key, if there is one. */
export function configured(key) {
  return get(key) ?? undefined;
}

/** The same; a permanent failure that names the key when there is none. */
export function requireConfigured(key) {
  const value = configured(key);
  if (value !== undefined) return value;
  const missing = `the configuration has no value for this plugin's key "${key}"`;
  throw new Permanent("not-configured", missing);
}
