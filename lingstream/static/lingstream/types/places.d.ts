/** places: where a binding looks, as its attribute says it. */
import type { Touched } from "./changes.js";
/** @import { Touched } from "./changes.js" */
/** @import { JsonUriError } from "./jsonuri.js" */
/**
 * `topic`, `./topic` and `.` are relative to the scope, `/topic` begins at the document's root, `@status` is what
 * the element says of the run, `@closed/topic` whether that field is complete; `!` in front is the opposite.
 */
export declare class Place {
    #private;
    /** Asks whether a field is complete, not for its value. */
    isClosed: boolean;
    /** Looks at what the element says, not at the document. */
    isAbout: boolean;
    path: string[];
    /**
     * @param {string} written
     * @throws {JsonUriError}
     */
    constructor(written: string);
    /** Whether it leads out of an item. */
    get isFree(): boolean;
    /**
     * @param {Touched} touched what happened to the scope
     * @param {boolean} isRoot whether the scope is the whole document
     * @returns {Touched | undefined} what happened here
     */
    find(touched: Touched, isRoot: boolean): Touched | undefined;
    /**
     * @param {unknown} value of the scope
     * @param {{context: object, pathOf: (place: Place) => string[]}} scope
     * @returns {unknown}
     */
    read(value: unknown, scope: {
        context: object;
        pathOf: (place: Place) => string[];
    }): unknown;
}
/** As in a Django template: what is missing, null, false, 0 or empty is not true. */
export declare function isTrue(value: any): boolean;
/** Strings as they are, numbers and booleans as JSON writes them, containers as JSON; undefined for nothing. */
export declare function toText(value: any): string | undefined;
