/** chat-acts: what the buttons of a chat do. The server does the same where a form is sent without a script. */

/** @import { Conversation } from "./conversation.js" */
/** @import { Turn } from "./turn.js" */

/**
 * @typedef {object} Asked
 * @property {Conversation} conversation
 * @property {Turn | undefined} turn in which the button is, if it is in one
 * @property {string} value of the button
 * @property {HTMLFormElement} form of the button
 */

/** @type {Record<string, (asked: Asked) => Promise<unknown>>} by the button's name */
export const ACTS = {
    edit: ({ conversation, turn, value, form }) => {
        const files = turn?.message?.parts.filter(({ type }) => type === "file") ?? [];
        const text = form.elements.text.value;
        return conversation.edit(value, { parts: [{ type: "text", text }, ...files] });
    },
    regenerate: ({ conversation, value }) => conversation.regenerate(value),
    switch: ({ conversation, value }) => conversation.switch(value),
    stop: ({ conversation }) => conversation.stop(),
    judge: ({ conversation, value }) => {
        const [opinion, run] = value.split(" ");
        return conversation.feedback(run, Number(opinion));
    },
    rename: ({ conversation, form }) => conversation.rename(form.elements.title.value.trim()),
    archive: ({ conversation, value }) => conversation.archive(value === "1"),
    delete: ({ conversation }) => conversation.remove(),
};
