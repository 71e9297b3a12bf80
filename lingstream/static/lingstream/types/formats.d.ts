/** formats: numbers, money and dates as the reader's language writes them. */
/**
 * @param {string} written such as `number` or `currency:EUR`
 * @param {unknown} value
 * @param {string} [lang] the browser's, if it says none
 * @returns {string | undefined} undefined for what has no such format
 */
export declare function format(written: string, value: unknown, lang?: string): string | undefined;
