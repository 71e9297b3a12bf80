/* Whether two uri patterns can match one uri. Pure. */

const ITEM = "/"; // the place of an item in a list, which no segment can be

/**
 * @param {string} pattern  `outline/*\/topic`; `*` is one segment, `**` any number, an empty one meets everything
 * @param {string} place  a pattern, too: where a list has its items there is a star
 * @param {number} rooted  how many of the place's first segments are its step's root, where a star is any key
 */
export function meets(pattern, place, rooted = 0) {
  const wanted = segments(place).map((each, at) => (each === "*" && at >= rooted ? ITEM : each));
  return !pattern || both(segments(pattern), wanted, 0, 0, new Map());
}

/* A backslash keeps a slash inside its segment. */
function segments(uri) {
  return uri ? uri.match(/(?:[^\\/]|\\.)+|(?<=\/|^)(?=\/|$)/gs) ?? [] : [];
}

function both(one, other, at, place, known) {
  const state = `${at} ${place}`;
  if (known.has(state)) return known.get(state);
  known.set(state, false);
  const found = step(one, other, at, place, known);
  known.set(state, found);
  return found;
}

function step(one, other, at, place, known) {
  if (at === one.length && place === other.length) return true;
  if (one[at] === "**" && (both(one, other, at + 1, place, known)
    || (place < other.length && both(one, other, at, place + 1, known)))) return true;
  if (other[place] === "**" && (both(one, other, at, place + 1, known)
    || (at < one.length && both(one, other, at + 1, place, known)))) return true;
  if (at === one.length || place === other.length) return false;
  return alike(one[at], other[place]) && both(one, other, at + 1, place + 1, known);
}

function alike(wanted, there) {
  return wanted === "*" || there === "*" || wanted === there || (there === ITEM && /^\d+$/.test(wanted));
}
