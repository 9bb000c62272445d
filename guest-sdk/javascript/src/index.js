// Write wasaga plugins in JavaScript or TypeScript. See README.md.

import "./globals.js";

export * as config from "./config.js";
export * as context from "./context.js";
export * from "./event-store.js";
export * from "./failure.js";
export * as http from "./http.js";
export { Message } from "./message.js";
export { child, done, message, signal, sleep, wait } from "./outcome.js";
export { definePlugin } from "./plugin.js";
export * as sql from "./sql.js";
export { SKIP, reject } from "./steps.js";
export { DROP } from "./tasks.js";
