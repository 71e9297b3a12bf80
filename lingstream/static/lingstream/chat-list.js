/** chat-list: the person's conversations beside the one that is shown, as they change in any tab. */

import { copyOf, part, show, tellTime, write } from "./chat-parts.js";
import { arrange } from "./order.js";

/** @import { Client } from "./client.js" */

/**
 * @param {HTMLElement} chat
 * @param {Client} client
 * @param {AbortSignal} signal
 */
export async function followList(chat, client, signal) {
    const list = part(chat, "list");
    const { searchParams } = new URL(location.href);
    if (!list || ["q", "archived", "after"].some((name) => searchParams.has(name))) return; // what was asked for stays
    const conversations = await client.conversations({ workflow: chat.getAttribute("workflow") });
    signal.addEventListener("abort", () => conversations.close());
    conversations.addEventListener("change", () => draw(chat, list, conversations.items), { signal });
}

function draw(chat, list, items) {
    const known = new Map([...list.children].map((item) => [item.dataset.id, item]));
    const shown = items.flatMap((item) => {
        const element = known.get(item.id) ?? copyOf(chat, "item");
        if (!element) return [];
        fill(chat, element, item);
        return [element];
    });
    for (const item of known.values()) if (!shown.includes(item)) item.remove();
    arrange(list, shown, null); // whoever is at one of them stays there
    show(part(chat, "none"), items.length === 0);
}

function fill(chat, element, { id, title, unread, updated }) {
    const link = element.querySelector("a");
    const name = part(element, "name");
    const count = part(element, "count");
    element.dataset.id = id;
    link.href = `${chat.dataset.url}${id}/`;
    if (chat.getAttribute("conversation") === id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    write(name, title || (name?.dataset.untitled ?? ""));
    write(count?.querySelector("b"), unread ? String(unread) : "");
    show(count, unread > 0);
    tellTime(part(element, "time"), updated);
}
