/** poll: long polling, for where responses come through only once they have ended. */
/** @type {import("./feed.js").Way} */
export declare const POLL: import("./feed.js").Way;
