/** formats: `data-ling-format`, numbers, money and dates as the reader's language writes them. */
import { Text } from "./text.js";
/** A text in the format that its element asks for, in the language around it. */
export declare class Formatted extends Text {
    /** What is still being written has no format yet. */
    textOf(value: any): string | undefined;
}
/**
 * @param {string} written such as `number` or `currency:EUR`
 * @param {unknown} value
 * @param {string} [lang] the browser's, if it says none
 * @returns {string | undefined} undefined for what has no such format
 */
export declare function format(written: string, value: unknown, lang?: string): string | undefined;
