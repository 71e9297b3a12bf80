/** syncing: how what is shown catches up with the server. */
/**
 * @param {() => Promise<void>} work
 * @returns {() => Promise<void>} does it, one at a time: however often it is asked for meanwhile, once more after that
 */
export declare function coalesced(work: () => Promise<void>): () => Promise<void>;
/**
 * Ask until there is an answer, whatever becomes of the connection.
 *
 * @template T
 * @param {() => Promise<T>} ask
 * @param {() => boolean} isOver whether nobody waits for it any more
 * @returns {Promise<T>}
 * @throws {Error} what the server has against it
 */
export declare function persist<T>(ask: () => Promise<T>, isOver: () => boolean): Promise<T>;
