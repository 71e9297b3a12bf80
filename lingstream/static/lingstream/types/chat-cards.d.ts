/** chat-cards: what a document has beside the answer, a card for each of its fields. */
/**
 * Have a card for each field of a document that is now in it. Text grows in its card, as it is bound; all else is drawn
 * once it is complete, and anew where something below it has changed since.
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
