/** record: what an element keeps of its run in sessionStorage: a reload shows that run and pays for no other. */
export type Kept = {
    /**
     * null until the start was answered
     */
    run: string | null;
    token: string | null;
    share: string | null;
    /**
     * what was asked
     */
    input: unknown;
    /**
     * the same start under it is the same run
     */
    key: string;
    /**
     * `data-input`, as it was then
     */
    written: string | null;
};
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
export declare class RunRecord {
    #private;
    owner: string;
    /** @param {Element} element */
    constructor(element: Element);
    /** @returns {Kept | null} */
    read(): Kept | null;
    /** @param {Kept} kept */
    write(kept: Kept): void;
    remove(): void;
}
/**
 * @param {Element} element
 * @returns {string} whose record it is: an element keeps its one while this stays
 */
export declare function ownerOf(element: Element): string;
