/* The panel's data and words, as the page has written them; and elements with text in them. */

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

/** @returns {HTMLElement} a text as it is */
export function pre(text) {
  return make("pre", { class: "ling-pre" }, typeof text === "string" ? text : JSON.stringify(text, null, 2));
}

/** @param {number | null | undefined} milliseconds */
export function seconds(milliseconds) {
  return Number.isFinite(milliseconds) ? (milliseconds / 1000).toFixed(2) : "–";
}
