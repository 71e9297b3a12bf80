/** checksum: the crc32 that a run's `done` carries, so that a client knows that it has what the server has. */
/**
 * @param {unknown} document
 * @returns {number} crc32 of the UTF-8 of the document's canonical JSON
 */
export declare function checksum(document: unknown): number;
/**
 * The same in slices of some milliseconds, so that the page stays alive over a document of megabytes.
 *
 * @param {unknown} document which nobody changes meanwhile
 * @param {(crc32: number) => void} tell called at once where one slice is enough
 */
export declare function checkInSlices(document: unknown, tell: (crc32: number) => void): void;
/**
 * RFC 8785: keys sorted by UTF-16 code units, numbers and strings as ECMAScript writes them.
 *
 * @param {unknown} value a JSON value
 * @returns {string}
 */
export declare function canonical(value: unknown): string;
/**
 * @param {Uint8Array} bytes
 * @param {number} [before] the crc32 of what comes before them
 * @returns {number} as zlib's crc32
 */
export declare function crc32(bytes: Uint8Array, before?: number): number;
