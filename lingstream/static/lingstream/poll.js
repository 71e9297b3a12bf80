/** poll: long polling, for where responses come through only once they have ended. */

/** @import { Way } from "./feed.js" */

const WAIT = 20;

/** @type {Way} */
export const POLL = {
    wait: WAIT,
    patience: WAIT * 1_000 + 10_000,
    parser() {
        let pending = "";
        return (text) => {
            const lines = (pending + text).split("\n");
            pending = lines.pop();
            return lines.filter((line) => line !== "");
        };
    },
};
