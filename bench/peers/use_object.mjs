// The useObject contender of bench/client.py, as one writes it with care: a text that did not change is not drawn again.

import { useObject } from "@ai-sdk/react";
import { jsonSchema } from "ai";
import { createElement, memo } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";

const schema = jsonSchema({ type: "array", items: { type: "string" } });
const Item = memo(({ text }) => createElement("p", null, text));

/** Draw what the API streams, and ask for it. */
export function draw(root, api) {
    let ask;
    const Texts = () => {
        const { object, submit } = useObject({ api, schema });
        ask = submit;
        return object?.map((text, index) => createElement(Item, { key: index, text }));
    };
    flushSync(() => createRoot(root).render(createElement(Texts)));
    ask({});
}
