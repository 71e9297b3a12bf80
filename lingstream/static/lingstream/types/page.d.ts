/** page: what `{% lingstream_script %}` wrote into the page, so that no address is known to the modules. */
/**
 * @param {"base" | "socket" | "csrf" | "user"} name
 * @returns {string | undefined} undefined where the modules came without the tag, or nobody is signed in
 */
export declare function written(name: "base" | "socket" | "csrf" | "user"): string | undefined;
/**
 * @param {string} address
 * @param {string} [base] what it is relative to; else the page
 * @returns {string} the whole of it
 * @throws {TypeError} there is no page, and the address is none by itself
 */
export declare function absolute(address: string, base?: string): string;
/**
 * @param {string} name
 * @returns {any} the data that a template tag wrote into the page under that name, if it did and it can be read
 */
export declare function block(name: string): any;
