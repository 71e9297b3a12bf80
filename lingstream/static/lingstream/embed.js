/*
 * embed: a chat of another site, behind a button, in a frame.
 *
 *   <script async src="https://app.example/static/lingstream/embed.js"
 *           data-chat="https://app.example/ling/embed/help/"></script>
 *
 * What may be said of it: data-label (of the button), data-lang, data-theme ("light" or "dark"), data-user (a
 * JWT by which this site says who the visitor is), data-side ("left"), data-fit (the frame is as high as what is
 * in it). The script's element has `chat` with `open()`, `close()`, `say(text)`, `theme(name)`, `user(jwt)`, and
 * fires `lingstream:open`, `:close`, `:unread`, `:resize` and `:event`.
 *
 * A classic script, so that it loads on pages of every kind; all of it lies behind a shadow root, and its style
 * is a constructed sheet, which no Content-Security-Policy forbids. The page's own has to allow the script and
 * the frame (script-src, frame-src).
 */
(() => {
    "use strict";

    const script = document.currentScript;
    const VERSION = 1;
    const STYLE = `
        :host { all: initial; --fit: initial; }
        button, iframe { position: fixed; inset-block-end: 20px; inset-inline-end: 20px; border: 0; }
        :host([data-side="left"]) :is(button, iframe) { inset-inline: 20px auto; }
        button {
            inline-size: 56px; block-size: 56px; border-radius: 28px; padding: 0; z-index: 2147483646;
            background: var(--lingstream-embed, #1d4ed8); color: #fff; cursor: pointer;
            box-shadow: 0 2px 12px rgb(0 0 0 / 0.3);
        }
        button:focus-visible { outline: 3px solid var(--lingstream-embed, #1d4ed8); outline-offset: 3px; }
        svg { inline-size: 26px; block-size: 26px; fill: none; stroke: currentColor; stroke-width: 2; }
        [data-unread]::after {
            content: attr(data-unread); position: absolute; inset-block-start: -4px; inset-inline-end: -4px;
            min-inline-size: 20px; box-sizing: border-box; padding: 0 5px; border-radius: 10px;
            background: #b91c1c; font: 600 12px/20px system-ui, sans-serif;
        }
        iframe {
            inset-block-end: 88px; inline-size: min(400px, 100vw - 40px);
            block-size: min(clamp(320px, var(--fit, 640px), 640px), 100dvh - 108px);
            border-radius: 12px; z-index: 2147483647; background: Canvas; box-shadow: 0 4px 24px rgb(0 0 0 / 0.25);
        }
        [hidden] { display: none; }
        @media (max-width: 480px) {
            iframe { inset: 0 !important; inline-size: 100vw; block-size: 100dvh; border-radius: 0; }
        }
    `;

    const address = URL.canParse(script.dataset.chat ?? "") ? new URL(script.dataset.chat) : null;
    if (!address?.protocol.startsWith("http")) {
        console.error(`lingstream: expected data-chat to be the whole address of a chat, got "${script.dataset.chat}"`);
        return;
    }
    if (address.origin === location.origin) {
        // The frame could reach into this page; on its own site the chat stands in the page.
        console.error("lingstream: a site shows its own chat with {% lingstream_chat %}, not in a frame");
        return;
    }

    const kept = `lingstream ${address.origin} ${address.pathname}`;
    const waiting = []; // said, and not taken by the frame yet
    const told = { lang: script.dataset.lang || document.documentElement.lang, theme: script.dataset.theme ?? "" };
    let user = script.dataset.user ?? "";
    let frame = null;
    let port = null;

    const host = document.createElement("div");
    if (script.dataset.side) host.dataset.side = script.dataset.side;
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const button = root.appendChild(document.createElement("button"));
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    name(0);
    button.append(icon());
    button.addEventListener("click", () => (isOpen() ? close() : open()));
    whenThereIsABody(() => document.body.append(host));
    addEventListener("message", hear);
    script.chat = {
        open,
        close,
        say,
        theme: (theme) => send({ type: "theme", theme: (told.theme = String(theme)) }),
        user: change,
    };

    function open() {
        frame ??= makeFrame();
        frame.hidden = false;
        button.setAttribute("aria-expanded", "true");
        frame.focus();
        send({ type: "open" });
        fire("open");
    }

    function close() {
        if (!isOpen()) return;
        frame.hidden = true;
        button.setAttribute("aria-expanded", "false");
        button.focus();
        send({ type: "close" });
        fire("close");
    }

    function isOpen() {
        return Boolean(frame) && !frame.hidden;
    }

    function makeFrame() {
        const made = document.createElement("iframe");
        // With allow-same-origin the frame has its own origin, which is another than ours: without it modules do
        // not load, and our server lets in no page without an origin.
        made.sandbox = "allow-scripts allow-same-origin allow-forms allow-popups allow-downloads";
        made.allow = "clipboard-write";
        made.referrerPolicy = "origin";
        made.title = script.dataset.label || "Chat";
        if (told.lang) address.searchParams.set("lang", told.lang);
        made.src = address.href;
        root.append(made);
        return made;
    }

    /** The frame says that it is there; whoever else may send us messages, it is not that window. */
    function hear({ source, origin, data }) {
        if (!frame || source !== frame.contentWindow || origin !== address.origin) return;
        if (data?.lingstream !== VERSION || data.type !== "ready") return;
        const channel = new MessageChannel();
        port?.close();
        port = channel.port1;
        port.onmessage = ({ data: message }) => obey(message);
        const hello = { lingstream: VERSION, type: "hello", ...told, open: isOpen(), token: user ? "" : read(), user };
        frame.contentWindow.postMessage(hello, address.origin, [channel.port2]);
        waiting.forEach(send);
    }

    function obey(message) {
        if (message?.type === "token") write(String(message.token ?? ""));
        else if (message?.type === "said") waiting.shift();
        else if (message?.type === "unread") name(Number(message.count) || 0);
        else if (message?.type === "resize") fit(Number(message.height) || 0);
        else if (message?.type === "close") close();
        else if (message?.type === "event") fire("event", message.detail);
    }

    /** A frame that could not begin, or is about to begin anew, takes nothing: the next one is told. */
    function say(text) {
        const message = { type: "say", text: String(text) };
        waiting.push(message);
        send(message);
    }

    /**
     * From here on somebody else talks, if there is no token, or the same person by a fresh one: the frame begins
     * anew. What was said and not taken is of who was here.
     */
    function change(token) {
        if (!token) waiting.length = 0;
        user = String(token || "");
        send({ type: "user" });
        port = null;
    }

    function send(message) {
        port?.postMessage(message); // before there is one the hello says it
    }

    function name(unread) {
        const label = script.dataset.label || "Chat";
        button.setAttribute("aria-label", unread ? `${label} (${unread})` : label);
        if (unread) button.dataset.unread = unread > 99 ? "99+" : String(unread);
        else delete button.dataset.unread;
        fire("unread", { count: unread });
    }

    /** What is in the frame would have this height; more than there is room for is scrolled. */
    function fit(height) {
        if (script.dataset.fit !== undefined) frame.style.setProperty("--fit", `${height}px`);
        fire("resize", { height });
    }

    function icon() {
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        svg.setAttribute("viewBox", "0 0 24 24");
        svg.setAttribute("aria-hidden", "true");
        const path = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
        path.setAttribute("d", "M4 5h16v11H9l-5 4z");
        return svg;
    }

    function fire(kind, detail = {}) {
        script.dispatchEvent(new CustomEvent(`lingstream:${kind}`, { detail, bubbles: true }));
    }

    /** Storage may be forbidden to us: then the visitor is another one on the next page. */
    function read() {
        try {
            return localStorage.getItem(kept) ?? "";
        } catch {
            return "";
        }
    }

    function write(token) {
        try {
            if (token) localStorage.setItem(kept, token);
            else localStorage.removeItem(kept);
        } catch {
            // see read()
        }
    }

    function whenThereIsABody(then) {
        if (document.body) then();
        else addEventListener("DOMContentLoaded", then, { once: true });
    }
})();
