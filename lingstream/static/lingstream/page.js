/** page: what `{% lingstream_script %}` wrote into the page, so that no address is known to the modules. */

/**
 * @param {"base" | "socket" | "csrf"} name
 * @returns {string | undefined} undefined where the modules came without the tag
 */
export function written(name) {
    return globalThis.document?.querySelector("script[data-lingstream]")?.dataset[name];
}
