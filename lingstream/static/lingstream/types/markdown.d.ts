/**
 * markdown: draws Markdown while it is written.
 *
 *     const markdown = new Markdown(element);
 *     markdown.append("# Clo");
 *     markdown.append("uds");
 *     markdown.end();
 *
 * The same text makes the same elements, wherever it was cut, and is read once, in slices that leave the page
 * its frames. No string is ever read as markup: see markdown-nodes.js.
 */
/** A text that grows inside one element. */
export declare class Markdown {
    #private;
    /**
     * @param {Element} element is emptied; the `Markdown` that drew in it before stops
     * @param {{images?: string, copy?: string}} [options] images: the origins whose images are shown and not only their
     *     alt texts, such as `"same-origin https://cdn.example"`; copy: label of a button on each block of code
     */
    constructor(element: Element, { images, copy }?: {
        images?: string;
        copy?: string;
    });
    /**
     * Draw more of the text: up to 1,024 characters at once, of more what 8 ms allow, and the rest by itself.
     *
     * @param {string} text cut anywhere
     */
    append(text: string): void;
    /**
     * The text is complete: draw what was held back.
     *
     * @returns {Promise<void>} settles when all is drawn
     */
    end(): Promise<void>;
}
