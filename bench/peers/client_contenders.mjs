// What bench/client.py compares. Each makes its page, as a server would have rendered it, loads what it needs and asks
// for the stream; from then on it is alone with it.

const STREAM = "/stream";

function places(root, { start }) {
    root.id = "root";
    root.append(...start.map((text, index) => make("p", { id: `t${index}`, textContent: text })));
    return [...root.children];
}

function make(tag, properties) {
    return Object.assign(document.createElement(tag), properties);
}

function listen(write) {
    new EventSource(STREAM).onmessage = ({ data }) => write(JSON.parse(data));
}

/** The texts of a conversation, question and answer in turn, in a box of their own. */
async function conversation(root) {
    Object.assign(root.style, { height: "90vh", overflow: "auto" });
    const response = await fetch("/turns.json");
    return (await response.json()).flat();
}

function parse(markup) {
    return new DOMParser().parseFromString(markup, "text/html").body.childNodes;
}

async function renderer() {
    const [{ marked }, { default: DOMPurify }] = await Promise.all([import("marked"), import("dompurify")]);
    return (element, text) => (element.innerHTML = DOMPurify.sanitize(marked.parse(text)));
}

/** Show the whole text so far, once a frame. */
function each(show) {
    let [text, isAsked] = ["", false];
    const draw = () => {
        isAsked = false;
        show(text);
    };
    return ({ delta }) => {
        text += delta;
        if (!isAsked) requestAnimationFrame(draw);
        isAsked = true;
    };
}

export const contenders = {
    loop(root, stream) {
        const nodes = places(root, stream);
        const at = (index) => (nodes[index] ??= root.appendChild(document.createElement("li")));
        listen(({ uri, delta, value }) => {
            if (value === undefined) at(Number(uri)).textContent += delta;
            else value.forEach((text, index) => (at(index).textContent = text));
        });
    },

    async lingstream(root, { markup, run }) {
        await import("/index.js");
        const element = document.createElement("ling-stream");
        for (const [name, value] of Object.entries({ run, transport: "sse" })) element.setAttribute(name, value);
        element.append(...parse(markup));
        root.append(element);
    },

    async Turbo(root, stream) {
        await import("@hotwired/turbo");
        places(root, stream);
        root.after(...parse(`<turbo-stream-source src="${STREAM}"></turbo-stream-source>`));
    },

    async htmx(root, stream) {
        places(root, stream);
        const { default: htmx } = await import("htmx.org");
        globalThis.htmx = htmx; // as its extensions expect
        await import("htmx.org/dist/ext/hx-sse.js");
        root.after(...parse(`<div hx-sse:connect="${STREAM}" hx-swap="none"></div>`));
        htmx.process(document.body);
    },

    async useObject(root) {
        const { draw } = await import("./use_object.mjs");
        draw(root, STREAM);
    },

    async marked(root) {
        const draw = await renderer();
        listen(each((text) => draw(root, text)));
    },

    async "by hand"(root) {
        const draw = await renderer();
        const article = () => root.appendChild(make("article", {}));
        for (const text of await conversation(root)) draw(article(), text);
        const last = article();
        const show = (text) => {
            draw(last, text);
            root.scrollTop = root.scrollHeight;
        };
        listen(each(show));
    },

    /** On the chat's own page. */
    async "ling-chat"() {
        const chat = document.querySelector("ling-chat");
        await chat.ready;
        while (await chat.conversation.older());
        const { run } = chat.conversation.turns.at(-1);
        while (run.status !== "running") await new Promise((resolve) => run.addEventListener("status", resolve));
    },

    async useChat(root) {
        const { drawChat } = await import("./use_chat.mjs");
        drawChat(root, STREAM, await conversation(root));
    },
};
