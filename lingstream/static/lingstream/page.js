/** page: what `{% lingstream_script %}` wrote into the page, so that no address is known to the modules. */

/**
 * @param {"base" | "socket" | "csrf"} name
 * @returns {string | undefined} undefined where the modules came without the tag
 */
export function written(name) {
    return globalThis.document?.querySelector("script[data-lingstream]")?.dataset[name];
}

/**
 * @param {string} name
 * @returns {any} the data that a template tag wrote into the page under that name, if it did
 */
export function block(name) {
    const found = globalThis.document?.getElementById(`lingstream-${name}`);
    return found ? JSON.parse(found.textContent) : undefined;
}
