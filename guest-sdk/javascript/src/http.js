// HTTP out, to granted hosts. The host adds the idempotency key and the trace headers.

import * as host from "wasaga:plugin/http@0.1.0";
import { Permanent, Retryable, Unknown } from "./failure.js";
import { milliseconds } from "./payload.js";
import { decode, encode } from "./text.js";

function failure(thrown) {
  const { tag, val } = thrown?.payload ?? thrown ?? {};
  switch (tag) {
    case "denied":
      return new Permanent("http-denied", val);
    case "not-sent":
      return new Retryable("http-not-sent", val);
    case "maybe-sent":
      return new Unknown("http-maybe-sent", val);
    case "too-large":
      return new Unknown("http-too-large", `the answer has more than ${val} bytes (plugins.guest_limits.http_response_bytes)`);
    default:
      return thrown;
  }
}

/** Sends a request, and returns the answer: status, headers by their names in lower case, `text()` and `json()`. */
export function request(method, url, { headers = {}, json, body, timeoutMs } = {}) {
  const list = Object.entries(headers).map(([name, value]) => ({ name, value: encode(value) }));
  if (json !== undefined) list.push({ name: "content-type", value: encode("application/json") });
  const bytes = json === undefined ? body : encode(JSON.stringify(json));
  const wanted = {
    method,
    url,
    headers: list,
    body: typeof bytes === "string" ? encode(bytes) : bytes,
    timeoutMs: milliseconds(timeoutMs),
  };
  let answer;
  try {
    answer = host.send(wanted);
  } catch (thrown) {
    throw failure(thrown);
  }
  const named = answer.headers.map(({ name, value }) => [name.toLowerCase(), decode(value)]);
  const text = () => decode(answer.body);
  return {
    status: answer.status,
    headers: Object.fromEntries(named),
    body: answer.body,
    text,
    json: () => JSON.parse(text()),
  };
}
