/** source-note: shows what a source says, beside the number that stands for it, while that is looked at. */
import type { Source } from "./cite.js";
/**
 * @param {HTMLElement} mark
 * @param {Source | null} source
 */
export declare function showNote(mark: HTMLElement, source: Source | null): void;
