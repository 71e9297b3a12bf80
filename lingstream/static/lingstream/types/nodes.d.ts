/**
 * nodes: draws a node tree, which is what a bot's HTML becomes.
 *
 * A node is a string or `{tag, attrs, children}`; without a tag it is its children. Whatever the server let
 * through, nothing becomes part of the page here that is not listed in this file: elements are made with
 * `createElement`, text with `createTextNode`, and no string is ever read as markup.
 */
/** Every element that may be made; the same as in `lingstream/core/parsing/html/policy.py`. */
export declare const ELEMENTS: Set<string>;
/** The attributes that elements may have, beside those that all may have. */
export declare const ATTRIBUTES: Map<string, string[]>;
/** What every link of a model says of where it leads. */
export declare const REL = "noopener noreferrer nofollow";
/**
 * @param {string} tag
 * @param {string} name of an attribute
 * @param {unknown} value
 * @returns {string | null} what to write, or null if the element may not have it
 */
export declare function safeAttribute(tag: string, name: string, value: unknown): string | null;
/**
 * @param {unknown} value the address of an image
 * @param {string} images the origins that a page names: `same-origin`, `https://cdn.example`, space separated
 * @returns {string | null} what to write, or null if the page did not ask for images from there
 */
export declare function safeImage(value: unknown, images: string): string | null;
/** The nodes drawn inside one element; `render` makes the page follow the tree, touching what changed. */
export declare class Nodes {
    #private;
    /**
     * @param {Element} element is emptied
     * @param {{images?: string}} [options] images: the origins whose images are shown and not only their alt
     *     texts, such as `"same-origin https://cdn.example"`
     */
    constructor(element: Element, { images }?: {
        images?: string;
    });
    /** @param {unknown} tree a node, or an array of nodes */
    render(tree: unknown): void;
}
