/** copying: puts a text on the clipboard, also where the page may not ask the browser for that. */

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function copy(text) {
    try {
        await navigator.clipboard.writeText(text); // a page over plain HTTP has none, and others may be forbidden it
        return true;
    } catch {
        return copySelected(text);
    }
}

/** As a person would, which every browser allows who has just been clicked at. */
function copySelected(text) {
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    const field = document.createElement("textarea");
    field.value = text;
    field.readOnly = true; // opens no keyboard
    field.style.position = "fixed"; // moves nothing
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    focused?.focus({ preventScroll: true });
    return isCopied;
}
