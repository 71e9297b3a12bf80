/** copying: puts a text on the clipboard, also where the page may not ask the browser for that. */
/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export declare function copy(text: string): Promise<boolean>;
