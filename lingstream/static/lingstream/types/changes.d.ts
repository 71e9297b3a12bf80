/**
 * changes: what happened to a document since it was last drawn, and which of its fields are open, cut off or closed.
 *
 * Paths are lists of segments as jsonuri escapes them. What the element says of the run (`@status` …) stands
 * beside the document's own keys, none of which begins with a plain `@`.
 */
import type { Op } from "./fold.js";
/** @import { Op } from "./fold.js" */
/** A place at which, above which or below which something happened. */
declare class Touched {
    #private;
    /** All of it is new. */
    isAll: boolean;
    /** It is complete, with all below it. */
    isSettled: boolean;
    /** Nothing else happened to it, nor below it. */
    isOnlySettled: boolean;
    /** What was appended to the text here. */
    grown: string;
    get isClean(): boolean;
    /**
     * @param {string} segment
     * @returns {Touched | undefined} undefined where nothing happened
     */
    at(segment: string): Touched | undefined;
    /** @returns {Iterable<string>} the segments below which something happened */
    segments(): Iterable<string>;
    /** The place at `path`, which something happens to now. */
    reach(path: any): any;
    replace(): void;
}
/** Where a container was replaced, all below it is new. */
export declare const ALL: Readonly<Touched & {
    isAll: boolean;
    isSettled: boolean;
}>;
export declare class Changes {
    #private;
    constructor();
    get isClean(): boolean;
    /** @param {Op} op */
    add({ uri, delta }: Op): void;
    /** @param {string} name such as `status` */
    touch(name: string): void;
    settle(uri: any, cut: any): void;
    reset(cut: any): void;
    /** @returns {Touched} all since the last call */
    take(): Touched;
    /** Asked first where there is a path to be made for each of many bindings. */
    get isWritingAny(): boolean;
    get hasCuts(): boolean;
    isWriting(path: any): boolean;
    isWritingIn(path: any): boolean;
    isCut(path: any): boolean;
    /** Whether the field was seen to close, alone or with what it is in. */
    isClosed(path: any): boolean;
}
export {};
