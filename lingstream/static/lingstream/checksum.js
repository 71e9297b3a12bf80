/** checksum: the crc32 that a run's `done` carries, so that a client knows that it has what the server has. */

/**
 * @param {unknown} document
 * @returns {number} crc32 of the UTF-8 of the document's canonical JSON
 */
export function checksum(document) {
    return crc32(new TextEncoder().encode(canonical(document)));
}

/**
 * RFC 8785: keys sorted by UTF-16 code units, numbers and strings as ECMAScript writes them.
 *
 * @param {unknown} value a JSON value
 * @returns {string}
 */
export function canonical(value) {
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
    const members = Object.keys(value).sort();
    return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

/**
 * @param {Uint8Array} bytes
 * @returns {number} as zlib's crc32
 */
export function crc32(bytes) {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
    return (crc ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
    let entry = index;
    for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
    return entry;
});
