/** iteration: a run, or one of its fields, read with `for await` at the reader's pace. */
export type Change = {
    uri: string;
    delta?: string;
    value?: unknown;
};
export type Readable = EventTarget & {
    document: unknown;
    isBusy: boolean;
    finished: Promise<unknown>;
    hasClosed: (uri: string) => boolean;
};
/**
 * @typedef {{uri: string, delta?: string, value?: unknown}} Change the text that came at `uri`, or what is there now
 * @typedef {EventTarget & {
 *   document: unknown, isBusy: boolean, finished: Promise<unknown>, hasClosed: (uri: string) => boolean
 * }} Readable a run
 */
/**
 * @param {Readable} run
 * @returns {AsyncIterableIterator<Change>} what there is, then what comes, merged by uri while nobody
 *   reads; ends with the run, throws where that failed
 */
export declare function changes(run: Readable): AsyncIterableIterator<Change>;
/**
 * @param {Readable} run
 * @param {string} uri of a string
 * @returns {AsyncIterableIterator<string>} its text in pieces, to the field's end; a text that was replaced by another
 *   one begins again
 */
export declare function pieces(run: Readable, uri: string): AsyncIterableIterator<string>;
/**
 * @param {Readable} run
 * @returns {ReadableStream<Uint8Array>} its ops as JSON lines
 */
export declare function lines(run: Readable): ReadableStream<Uint8Array>;
