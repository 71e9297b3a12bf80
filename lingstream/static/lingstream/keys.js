/** keys: by which a start is known, however often it is sent. */

/**
 * `crypto.randomUUID` exists in secure contexts only; a demo on a phone in the house is none.
 *
 * @returns {string} 128 random bits
 */
export function randomKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
