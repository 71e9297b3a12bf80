/** poll: long polling, for where responses come through only once they have ended. */
import type { Way } from "./feed.js";
/** @type {Way} */
export declare const POLL: Way;
