// The useChat contender of bench/chat.py: messages and blocks of Markdown that did not change are not drawn again, as its
// documentation has it for long conversations.

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import DOMPurify from "dompurify";
import { marked } from "marked";
import { createElement, memo, useLayoutEffect, useMemo } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";

const THROTTLE = 50; // milliseconds, as in its documentation

const Block = memo(({ raw }) => {
    const __html = DOMPurify.sanitize(marked.parse(raw));
    return createElement("div", { dangerouslySetInnerHTML: { __html } });
});

const Message = memo(({ text }) => {
    const blocks = useMemo(() => marked.lexer(text), [text]);
    return createElement("article", null, blocks.map(({ raw }, index) => createElement(Block, { key: index, raw })));
});

/** Draw the messages, and what the API streams behind them with the end in sight. */
export function drawChat(root, api, texts) {
    const transport = new DefaultChatTransport({ api });
    const known = texts.map((text, index) => ({
        id: `m${index}`,
        role: index % 2 ? "assistant" : "user",
        parts: [{ type: "text", text }],
    }));
    let ask;
    const Messages = () => {
        const { messages, sendMessage } = useChat({ messages: known, transport, throttle: THROTTLE });
        ask = sendMessage;
        useLayoutEffect(() => void (root.scrollTop = root.scrollHeight), [messages]);
        const textOf = ({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join("");
        return messages.map((message) => createElement(Message, { key: message.id, text: textOf(message) }));
    };
    flushSync(() => createRoot(root).render(createElement(Messages)));
    ask({ text: "And more?" });
}
