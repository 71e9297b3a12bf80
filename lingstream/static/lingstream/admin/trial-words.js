/* The panel's data and words, as the page has written them; and elements with text in them. */

const LONG = 250; // characters, and lines, from which on a box may have more than it shows
const MOST_LINES = 8;

export const data = JSON.parse(document.getElementById("trial-data").textContent);

/**
 * @param {string} name
 * @param {Record<string, unknown>} [values] for what stands in braces
 * @returns {string}
 */
export function word(name, values = {}) {
  return (data.words[name] ?? name).replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
}

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} inside texts stay texts
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/** @returns {HTMLElement} a text as it is; what may scroll is reached by the keyboard, too */
export function pre(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const scrolls = text.length > LONG || text.split("\n").length > MOST_LINES;
  return make("pre", { class: "ling-pre", ...(scrolls && { tabindex: "0" }) }, text);
}

/** @param {number | null | undefined} milliseconds */
export function seconds(milliseconds) {
  return Number.isFinite(milliseconds) ? (milliseconds / 1000).toFixed(2) : "–";
}
