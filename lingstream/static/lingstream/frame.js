/**
 * frame: a chat inside another site's page, and what it says to that page; embed.js is the other end.
 *
 * The page around keeps who the visitor is, as storage of ours may be forbidden in its frames. It tells so in its
 * `hello`, which brings the port for all that follows.
 */

const VERSION = 1;
let visitor = "";
let height = 0;
const { origins, visitors, module } = document.querySelector("script[data-frame]").dataset;
// It comes into the page once it is known whose it is.
const chat = document.importNode(document.querySelector("#ling-framed").content, true).querySelector("ling-chat");

addEventListener("message", greet);
// To whomever: it says nothing, and only pages that are listed may have this one in a frame.
parent.postMessage({ lingstream: VERSION, type: "ready" }, "*");

function greet({ source, origin, data, ports: [port] }) {
    if (source !== parent || !isListed(origin) || !port) return;
    if (data?.lingstream !== VERSION || data.type !== "hello") return;
    removeEventListener("message", greet);
    begin(data, port).catch((error) => fail(error, port));
}

function isListed(origin) {
    return origins.split(" ").some((listed) => {
        const [scheme, rest] = listed.split("*.");
        return rest === undefined ? origin === listed : origin.startsWith(scheme) && origin.endsWith(`.${rest}`);
    });
}

async function begin({ token, user, theme, open }, port) {
    dress(theme);
    const { Client } = await customElements.whenDefined("ling-stream");
    const client = new Client({ visitor: user || !token ? await visitorFor(user) : token });
    await client.on("visitor", (known) => {
        visitor = known;
        // Of whom that page knows it keeps nothing: the next one at its browser may be another.
        if (!user) port.postMessage({ type: "token", token: known });
    });
    const last = new URLSearchParams(location.search).has("new") ? null : await lastOf(client);
    if (last) chat.setAttribute("conversation", last.id);
    await import(module);
    customElements.upgrade(chat);
    chat.client = client;
    chat.style.visibility = "hidden"; // its forms are of no use here without its script
    document.body.prepend(chat);
    await chat.ready;
    chat.style.visibility = "";
    if (open) show();
    else hide();
    port.onmessage = ({ data }) => obey(data, port); // what was said before has waited
    addEventListener("keydown", (event) => leave(event, port));
    chat.addEventListener("click", download);
    chat.querySelector("[data-close]")?.addEventListener("click", () => port.postMessage({ type: "close" }));
    chat.conversation.addEventListener("change", () => tellUnread(port));
    tellUnread(port);
    watchHeight(port);
}

/**
 * The page around is told why, as its token may be too old; what it does then, or the next opening, tries again. What it
 * says meanwhile it keeps.
 */
function fail(error, port) {
    console.error("lingstream:", error.message);
    const told = document.createElement("p");
    told.setAttribute("role", "alert");
    told.textContent = error.message;
    document.body.replaceChildren(told);
    port.postMessage({ type: "event", detail: { error: error.message } });
    port.onmessage = ({ data }) => ["open", "user"].includes(data.type) && location.reload();
}

/** Who is known by a token alone cannot follow a link: it carries none. */
async function download(event) {
    const link = event.target.closest("a[download]");
    if (!link) return;
    event.preventDefault();
    const response = await fetch(link.href, { headers: { Authorization: `Ling-Visitor ${visitor}` } });
    if (!response.ok) return;
    const file = document.createElement("a");
    file.href = URL.createObjectURL(await response.blob());
    file.download = link.download;
    file.click();
    URL.revokeObjectURL(file.href);
}

/** @returns {Promise<string>} the token of him whom the page around vouches for, or of somebody new */
async function visitorFor(user) {
    const body = JSON.stringify(user ? { user } : {});
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(visitors, { method: "POST", body, headers, credentials: "omit" });
    const { visitor, error } = await response.json();
    if (error) throw new Error(error.message);
    return visitor;
}

async function lastOf(client) {
    const talks = await client.conversations({ workflow: chat.getAttribute("workflow") });
    try {
        await talks.ready;
        return talks.items[0];
    } catch {
        return null; // the visitor of that token is no more: a new one begins
    } finally {
        talks.close();
    }
}

function obey(message, port) {
    if (message.type === "open") show();
    else if (message.type === "close") hide();
    else if (message.type === "theme") dress(message.theme);
    else if (message.type === "say") say(message.text, port);
    else if (message.type === "user") location.reload(); // the hello that follows names him
}

/** It is taken, and no longer the page's around, which is told why where the server refuses it. */
function say(text, port) {
    chat.conversation.send(text).catch(({ message }) => port.postMessage({ type: "event", detail: { error: message } }));
    port.postMessage({ type: "said" });
}

/** So nothing counts as read. */
function hide() {
    chat.inert = true;
}

function show() {
    chat.inert = false;
    chat.querySelector("textarea")?.focus();
    document.dispatchEvent(new Event("visibilitychange"));
}

function dress(theme) {
    document.documentElement.style.colorScheme = ["light", "dark"].includes(theme) ? theme : "";
}

/** What moves is stopped by the same key first. */
function leave(event, port) {
    const { open } = chat.conversation;
    if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing && !open) port.postMessage({ type: "close" });
}

function watchHeight(port) {
    const log = chat.querySelector("[data-log]") ?? chat;
    const observer = new ResizeObserver(() => tellHeight(log, port));
    for (const element of [log, ...log.children]) observer.observe(element);
}

/** How high the frame would have to be for nothing to be scrolled; one that is hidden has no heights. */
function tellHeight(log, port) {
    const around = chat.offsetHeight - log.clientHeight;
    const wanted = Math.ceil([...log.children].reduce((sum, child) => sum + heightOf(child), around));
    if (innerHeight === 0 || wanted === height) return;
    height = wanted;
    port.postMessage({ type: "resize", height });
}

/** What stands there before anything was said is as high as the place for it. */
function heightOf(element) {
    const content = document.createRange();
    if (element.matches("[data-empty]")) content.selectNodeContents(element);
    else content.selectNode(element);
    return content.getBoundingClientRect().height;
}

function tellUnread(port) {
    port.postMessage({ type: "unread", count: chat.conversation.unread });
}
