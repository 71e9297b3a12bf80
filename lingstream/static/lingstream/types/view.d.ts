/** view: how a run is shown in an element: its bindings, its error and what screen readers are told. */
import type { Run } from "./run.js";
/** Writes a run into the page, at most once per frame, however much of it came. */
export declare class View {
    #private;
    /** @param {Element} element */
    constructor(element: Element);
    /** @param {Run | null} run */
    show(run: Run | null): void;
    /** What the run's event says; it is written with the next frame. */
    note(type: any, detail: any): void;
    /** A run was started here, so somebody waits for it. */
    started(): void;
    /** @param {() => void} then called when the page shows all of the run: at once, if a frame is enough for it */
    finish(then: () => void): void;
    /** Look at all that is bound again. */
    refresh(): void;
    /** At most one write per frame, however much came. */
    schedule(): void;
}
/** @returns {boolean} whether nobody has canceled what was to come */
export declare function tell(element: any, type: any, detail: any, cancelable?: boolean): boolean;
