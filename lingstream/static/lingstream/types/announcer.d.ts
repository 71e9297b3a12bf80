/**
 * announcer: tells screen readers what becomes of a run. A region that grows with its text would be read out letter by
 * letter, or over and over; this one holds a line about the run, or whole sentences, and is otherwise left alone.
 */
/**
 * One visually hidden `role="status"` for an element with `data-ling-announce="off|status|sentences"`, in its shadow
 * root: there it is nobody's text, and neither a morph nor a framework finds a child that is not theirs.
 */
export declare class Announcer {
    #private;
    /** @param {Element} element */
    constructor(element: Element);
    /** A run was started here. */
    started(): void;
    /** There is more of the run than there was when we came. */
    grows(): void;
    /** The page was written. */
    look(): void;
    /**
     * What was seen to grow has ended; who comes after the end has missed nothing.
     *
     * @param {string} status
     */
    ended(status: string): void;
}
