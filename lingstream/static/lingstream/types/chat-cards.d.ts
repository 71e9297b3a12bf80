/** chat-cards: what a document has beside the answer, a card for each of its fields. */
/**
 * Draw the fields of a document that have no card yet. Text grows in it, as it is bound; all else is drawn once it is
 * complete.
 *
 * @param {HTMLElement} chat
 * @param {HTMLElement | null} place for the cards, where the workflow's template has one
 * @param {any} document
 * @param {(uri: string) => boolean} isWhole
 */
export declare function drawCards(chat: HTMLElement, place: HTMLElement | null, document: any, isWhole: (uri: string) => boolean): void;
/**
 * @param {any} document
 * @returns {string} the last thing that a step says that it is at
 */
export declare function stateOf(document: any): string;
