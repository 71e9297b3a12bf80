/**
 * kinds: the classes of bindings by name. Those that few pages have are loaded when the first of them is met in the
 * markup: until they are there nothing is drawn, so a page is never drawn in part.
 */

import { Condition } from "./condition.js";
import { Each } from "./each.js";
import { Text } from "./text.js";

/** @import { Part } from "./scope.js" */

const KINDS = { each: Each, text: Text, if: Condition };
const loads = new Set();

let loading = 0;

/** What Markdown is drawn with; the page may set something else than markdown.js. */
export const parsers = { markdown: null };

/**
 * @param {string} name
 * @returns {typeof Part | undefined} undefined while it is not loaded; what cannot be loaded shows its text or nothing
 */
export function kindOf(name) {
    return KINDS[name] ?? (["format", "markdown", "cite"].includes(name) && loading === 0 ? Text : undefined);
}

/** @param {string} name of a kind that is met in the markup */
export function need(name) {
    if (KINDS[name] === undefined) load(loadRare);
    if (name === "markdown" && parsers.markdown === null) load(loadMarkdown);
}

/** @returns {boolean} whether something that was met is not there yet */
export function isLoading() {
    return loading > 0;
}

/** What could not be loaded is tried again when it is met again. */
async function load(module) {
    if (loads.has(module)) return;
    loads.add(module);
    loading += 1;
    try {
        await module();
    } catch (error) {
        console.error("lingstream:", error);
        loads.delete(module);
    }
    loading -= 1;
}

async function loadRare() {
    Object.assign(KINDS, (await import("./rare.js")).RARE);
}

async function loadMarkdown() {
    const { Markdown } = await import("./markdown.js");
    parsers.markdown ??= (element, options) => new Markdown(element, options);
}
