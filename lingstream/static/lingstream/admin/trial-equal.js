/* Whether trials of the same input came to the same document. */

/**
 * @param {{ document: unknown, told: { status: string } }[]} outcomes
 * @returns {boolean | null} null where one of them has not finished, whose document is none or half of one
 */
export function areEqual(outcomes) {
  if (outcomes.some(({ told }) => told.status !== "finished")) return null;
  return new Set(outcomes.map(({ document }) => canonical(document))).size <= 1;
}

/** JSON text that is the same for equal documents, whatever the order of their keys. */
function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
}
