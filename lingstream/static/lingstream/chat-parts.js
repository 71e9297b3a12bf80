/** chat-parts: the places in the chat's templates. A site's own templates may leave any of them out. */

/**
 * @param {ParentNode} root
 * @param {string} name
 * @returns {any} the element that has `data-<name>`, or null
 */
export function part(root, name) {
    return root.querySelector(`[data-${name}]`);
}

/** @param {HTMLElement | null} element */
export function show(element, isShown) {
    if (element && element.hidden === isShown) element.hidden = !isShown;
}

/** @param {Element | null} element */
export function write(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
}

/**
 * @param {ParentNode} root
 * @param {string} name of a template
 * @returns {any} the one element in a copy of it, or null
 */
export function copyOf(root, name) {
    const template = root.querySelector(`template[data-${name}]`);
    return template && document.importNode(template.content, true).firstElementChild;
}

/** Say in the reader's time and language when something was. */
export function tellTime(element, moment) {
    if (!element || !moment || element.dataset.moment === moment) return;
    const date = new Date(moment);
    const language = element.closest("[lang]")?.lang || undefined;
    const isToday = date.toDateString() === new Date().toDateString();
    const time = { timeStyle: "short" };
    const format = (options) => new Intl.DateTimeFormat(language, options).format(date);
    element.dateTime = moment;
    element.dataset.moment = moment;
    element.title = format({ dateStyle: "full", ...time });
    element.textContent = format(isToday ? time : { dateStyle: "medium", ...time });
}

/**
 * What a page remembers for as long as it is open; a browser may forbid that.
 *
 * @param {string} name
 * @param {string | null} [value] to be kept, null for none any more
 * @returns {string | null} what is kept
 */
export function kept(name, value) {
    const key = `lingstream chat ${name}`;
    try {
        if (value === undefined) return sessionStorage.getItem(key);
        if (value) sessionStorage.setItem(key, value);
        else sessionStorage.removeItem(key);
    } catch {
        // then nothing is kept
    }
    return null;
}
