/* What became of the runs of a step: in words, and as one state for its colour. */

const WORST_FIRST = ["failed", "running", "canceled", "finished"];

/**
 * @param {Record<string, number> | undefined} states  how many runs of a step are in each state; none where no run
 *   is drawn
 * @param {Record<string, string>} words  for the states, and under "" for a step that has none
 * @returns {string}  "finished", "3 × finished, 1 × failed"
 */
export function told(states, words) {
  if (!states) return "";
  const counts = sorted(states);
  if (counts.length === 0) return words[""];
  const alone = counts.length === 1 && counts[0][1] === 1;
  return counts.map(([state, count]) => (alone ? "" : `${count} × `) + (words[state] ?? state)).join(", ");
}

/**
 * @param {Record<string, number> | undefined} states
 * @returns {string}  the one that matters most, "none" before the first, "" where no run is drawn
 */
export function worst(states) {
  return states ? (sorted(states)[0]?.[0] ?? "none") : "";
}

function sorted(states) {
  const place = ([state]) => WORST_FIRST.indexOf(state);
  return Object.entries(states).sort((one, other) => place(one) - place(other));
}
