/**
 * watch: notices what others do to the page below one element, such as a morph with the server's markup.
 *
 * What we wrote is written again in the next frame, elements that came are bound, those that went are
 * forgotten. Our own writes are not seen: nobody watches while we draw.
 */
import type { Context, Scope } from "./scope.js";
export declare class Watch {
    #private;
    /**
     * @param {Context} context
     * @param {Scope} scope of the root
     * @param {() => void} tell called when there is something to repair or to draw
     */
    constructor(context: Context, scope: Scope, tell: () => void);
    resume(): void;
    pause(): void;
    /** Write again what others have changed. */
    repair(): void;
    /** Look at all of it as if it had just been changed. */
    lookAtAll(): void;
}
