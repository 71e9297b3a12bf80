/** page: what `{% lingstream_script %}` wrote into the page, so that no address is known to the modules. */

/**
 * @param {"base" | "socket" | "csrf" | "user"} name
 * @returns {string | undefined} undefined where the modules came without the tag, or nobody is signed in
 */
export function written(name) {
    return globalThis.document?.querySelector("script[data-lingstream]")?.dataset[name];
}

/**
 * @param {string} address
 * @param {string} [base] what it is relative to; else the page
 * @returns {string} the whole of it
 * @throws {TypeError} there is no page, and the address is none by itself
 */
export function absolute(address, base = globalThis.document?.baseURI) {
    try {
        return new URL(address, base).href;
    } catch (error) {
        throw new TypeError(`expected an address, got "${address}"`, { cause: error });
    }
}

/**
 * @param {string} name
 * @returns {any} the data that a template tag wrote into the page under that name, if it did and it can be read
 */
export function block(name) {
    const text = globalThis.document?.getElementById(`lingstream-${name}`)?.textContent;
    try {
        return text && JSON.parse(text);
    } catch (error) {
        console.error(`lingstream: expected JSON in #lingstream-${name}:`, error.message);
    }
}
