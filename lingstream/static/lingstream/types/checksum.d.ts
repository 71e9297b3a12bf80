/** checksum: the crc32 that a run's `done` carries, so that a client knows that it has what the server has. */
/**
 * @param {unknown} document
 * @returns {number} crc32 of the UTF-8 of the document's canonical JSON
 */
export declare function checksum(document: unknown): number;
/**
 * RFC 8785: keys sorted by UTF-16 code units, numbers and strings as ECMAScript writes them.
 *
 * @param {unknown} value a JSON value
 * @returns {string}
 */
export declare function canonical(value: unknown): string;
/**
 * @param {Uint8Array} bytes
 * @returns {number} as zlib's crc32
 */
export declare function crc32(bytes: Uint8Array): number;
