/** keys: by which a start is known, however often it is sent. */
/**
 * `crypto.randomUUID` exists in secure contexts only; a demo on a phone in the house is none.
 *
 * @returns {string} 128 random bits
 */
export declare function randomKey(): string;
