/** chat-parts: the places in the chat's templates. A site's own templates may leave any of them out. */
/**
 * @param {ParentNode} root
 * @param {string} name
 * @returns {any} the element that has `data-<name>`, or null
 */
export declare function part(root: ParentNode, name: string): any;
/** @param {HTMLElement | null} element */
export declare function show(element: HTMLElement | null, isShown: any): void;
/** @param {Element | null} element */
export declare function write(element: Element | null, text: any): void;
/**
 * @param {ParentNode} root
 * @param {string} name of a template
 * @returns {any} the one element in a copy of it, or null
 */
export declare function copyOf(root: ParentNode, name: string): any;
/** Say in the reader's time and language when something was. */
export declare function tellTime(element: any, moment: any): void;
/**
 * What a page remembers for as long as it is open; a browser may forbid that.
 *
 * @param {string} name
 * @param {string | null} [value] to be kept, null for none any more
 * @returns {string | null} what is kept
 */
export declare function kept(name: string, value?: string | null): string | null;
