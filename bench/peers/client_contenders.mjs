// What bench/client.py compares: each makes its page, and returns what writes the ops of one tick into it.

import { Bindings } from "/bindings.js";
import { fold } from "/fold.js";
import { Markdown } from "/markdown.js";
import { DOMPurify, marked, renderStreamMessage } from "/peers.js";

function places(root, { start }) {
    for (const text of start) root.append(Object.assign(document.createElement("p"), { textContent: text }));
    return [...root.children];
}

export const contenders = {
    loop(root, stream) {
        const nodes = places(root, stream);
        const at = (index) => (nodes[index] ??= root.appendChild(document.createElement("li")));
        return (ops) => {
            for (const { uri, delta, value } of ops) {
                if (value === undefined) at(Number(uri)).textContent += delta;
                else value.forEach((text, index) => (at(index).textContent = text));
            }
        };
    },

    lingstream(root, { markup, start }) {
        const parsed = new DOMParser().parseFromString(markup, "text/html");
        root.append(...parsed.body.childNodes);
        const bindings = new Bindings(root, { about: () => ({}) });
        let content = fold(undefined, { uri: "", value: start });
        let isAsked = false;
        const render = () => {
            isAsked = bindings.render(content, performance.now() + 8) === false;
            if (isAsked) requestAnimationFrame(render);
        };
        bindings.reset();
        render();
        return (ops) => {
            for (const op of ops) content = fold(content, op);
            bindings.note(ops);
            if (!isAsked) requestAnimationFrame(render);
            isAsked = true;
        };
    },

    Turbo(root, stream) {
        places(root, stream).forEach((node, index) => (node.id = `t${index}`));
        root.id = "root";
        let made = root.children.length;
        return (ops) => {
            for (const { uri, delta } of ops) {
                const isNew = Number(uri) >= made;
                if (isNew) made += 1;
                const [target, inner] = isNew ? ["root", `<li id="t${uri}">${delta}</li>`] : [`t${uri}`, delta];
                renderStreamMessage(
                    `<turbo-stream action="append" target="${target}"><template>${inner}</template></turbo-stream>`,
                );
            }
        };
    },

    "lingstream (Markdown)"(root) {
        const markdown = new Markdown(root);
        const write = (ops) => ops.forEach(({ delta }) => markdown.append(delta));
        return Object.assign(write, { end: () => markdown.end() });
    },

    "marked (Markdown)"(root) {
        let text = "";
        return (ops) => {
            for (const { delta } of ops) {
                text += delta;
                root.innerHTML = DOMPurify.sanitize(marked.parse(text));
            }
        };
    },
};

