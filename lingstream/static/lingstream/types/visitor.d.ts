/** visitor: by what a site knows somebody without login and session again, a token that it gives once. */
/** The token of a page's visitor: in memory, and in localStorage where that is allowed. */
export declare class Visitor {
    #private;
    /** @type {Set<(token: string) => void>} are told each new one */
    listeners: Set<(token: string) => void>;
    /**
     * @param {string} base of the site
     * @param {string | null} [token] that the page keeps itself: then nothing is stored
     */
    constructor(base: string, token?: string | null);
    /** @returns {string | null | undefined} not for others: it opens all that the visitor has */
    get token(): string | null | undefined;
    /** @param {string} token that the server has given; `""` where it takes that one no more */
    keep(token: string): void;
}
