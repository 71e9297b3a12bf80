/** visitor: by what a site knows somebody without login and session again, a token that it gives once. */

/** The token of a page's visitor: in memory, and in localStorage where that is allowed. */
export class Visitor {
    #name;
    #token;

    /** @type {Set<(token: string) => void>} are told each new one */
    listeners = new Set();

    /**
     * @param {string} base of the site
     * @param {string | null} [token] that the page keeps itself: then nothing is stored
     */
    constructor(base, token) {
        this.#name = token === undefined && `lingstream visitor ${base}`;
        this.#token = token;
    }

    /** @returns {string | null | undefined} not for others: it opens all that the visitor has */
    get token() {
        return this.#token ?? this.#stored((storage) => storage.getItem(this.#name));
    }

    /** @param {string} token that the server has given; `""` where it takes that one no more */
    keep(token) {
        if (token === this.token) return;
        this.#token = token;
        this.#stored((storage) => storage.setItem(this.#name, token));
        for (const listener of this.listeners) listener(token);
    }

    /** The page's storage may be forbidden or full; of a process without a page it would be everybody's. */
    #stored(use) {
        try {
            return this.#name && use(document.defaultView.localStorage);
        } catch {
            return null;
        }
    }
}
