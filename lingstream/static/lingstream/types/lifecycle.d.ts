/** lifecycle: which status of a bot run follows which. Mirrors `STEP` of `lingstream.core.lifecycle`. */
/**
 * @param {unknown} now the status of a bot run, as a snapshot or a frame gave it
 * @param {string} to
 * @returns {boolean} whether it may become that; one that we do not know becomes nothing
 */
export declare function follows(now: unknown, to: string): boolean;
