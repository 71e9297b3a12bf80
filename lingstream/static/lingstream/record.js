/** record: what an element keeps of its run in sessionStorage: a reload shows that run and pays for no other. */

import { written } from "./page.js";

const holders = new Map(); // names to who has them on this page

/**
 * @typedef {object} Kept
 * @property {string | null} run null until the start was answered
 * @property {string | null} token
 * @property {string | null} share
 * @property {unknown} input what was asked
 * @property {string} key the same start under it is the same run
 * @property {string | null} written `data-input`, as it was then
 */

/** One element's, by the user, the page's path, its workflow and its `id`, or else its place in the document. */
export class RunRecord {
    #name;

    /** @param {Element} element */
    constructor(element) {
        this.owner = ownerOf(element);
        const base = `lingstream ${location.pathname} ${this.owner} ${element.id ? "" : placeOf(element)}`;
        // A page may put an element where another one was, or copy one with its id: each has a record of its own.
        for (let number = 0; ; number += 1) {
            this.#name = `${base} ${number}`;
            const holder = holders.get(this.#name)?.deref();
            if (!holder?.isConnected || holder === element) break;
        }
        holders.set(this.#name, new WeakRef(element));
    }

    /** @returns {Kept | null} */
    read() {
        return withStorage((storage) => JSON.parse(storage.getItem(this.#name)));
    }

    /** @param {Kept} kept */
    write(kept) {
        withStorage((storage) => storage.setItem(this.#name, JSON.stringify(kept)));
    }

    remove() {
        withStorage((storage) => storage.removeItem(this.#name));
    }
}

/**
 * @param {Element} element
 * @returns {string} whose record it is: an element keeps its one while this stays
 */
export function ownerOf(element) {
    return JSON.stringify([written("user"), element.getAttribute("workflow"), element.id]);
}

/** Among its kind, in its document or shadow root, and where that is. */
function placeOf(element) {
    const root = element.getRootNode();
    const [kind, workflow] = [element.localName, element.getAttribute("workflow")];
    const alike = [...root.querySelectorAll(kind)].filter(
        (other) => other.getAttribute("workflow") === workflow && (!other.id || other === element),
    );
    const inside = root.host ? `${root.host.id || placeOf(root.host)} ` : "";
    return inside + alike.indexOf(element);
}

/** Storage may be forbidden or full; a page without it is still a page. */
function withStorage(use) {
    try {
        return use(sessionStorage);
    } catch {
        return null;
    }
}
