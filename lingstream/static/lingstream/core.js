/** lingstream's client without a page: for Node, workers, and who draws by other means. No module here needs a DOM. */

export { Client } from "./client.js";
export { fold } from "./fold.js";
export { JsonUriError, escape, get, join, set, split, unescape } from "./jsonuri.js";
export { Run, RunError } from "./run.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./conversations.js").Conversations} Conversations
 * @typedef {import("./notices.js").Notice} Notice
 * @typedef {import("./turn.js").Turn} Turn
 */
