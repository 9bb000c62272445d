// Where something was thrown, in the plugin's own files: `wasaga build` bundles them into one, and leaves a table of its lines.

const FRAME = /^\s*at (.*) \(.*:(\d+):\d+\)$/;

/** The place in the plugin's own files of a line of the bundle; undefined where it is none of theirs. */
function placeOf(line) {
  const { files, lines } = globalThis.wasagaLines ?? { files: [], lines: [] };
  for (let i = 0; i < lines.length; i += 3) {
    if (lines[i] === line) return `${files[lines[i + 1]]}:${lines[i + 2]}`;
  }
  return undefined;
}

function frames(stack) {
  return String(stack ?? "")
    .split("\n")
    .map((text) => {
      const [, name, line] = FRAME.exec(text) ?? [];
      return { text, name, place: line && placeOf(Number(line)) };
    });
}

/** A stack with the plugin's own places. */
export function traced(stack) {
  return frames(stack)
    .map(({ text, name, place }) => (place ? `    at ${name} (${place})` : text))
    .join("\n");
}

/** The innermost function of the plugin's own. */
export function place(stack) {
  const own = frames(stack).find((frame) => frame.place);
  return own ? ` at ${own.name} (${own.place})` : "";
}
