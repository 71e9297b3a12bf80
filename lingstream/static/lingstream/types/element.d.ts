/**
 * element: `<ling-stream>` starts or watches a run and keeps the bindings inside it up to date.
 *
 * Attributes and events are described in docs/client.md.
 */
import { Client } from "./client.js";
/** `<ling-stream workflow="…" data-input='{…}'>`; leaving the page stops the watching, not the run. */
export declare class LingStreamElement extends HTMLElement {
    #private;
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** @returns {import("./run.js").Run | null} the run that is shown */
    get run(): import("./run.js").Run | null;
    /** @returns {"idle" | import("./run.js").Status} */
    get state(): "idle" | import("./run.js").Status;
    /** @returns {unknown} the document so far: to be read, not to be changed */
    get document(): unknown;
    /** @returns {Record<string, string>} the models' reasoning by bot */
    get reasoning(): Record<string, string>;
    /** @returns {Client} shared by all elements with the same addresses */
    get client(): Client;
    /**
     * Start a run and show it. The run that this element started before is canceled, unless it is the same one,
     * by its key, or shown elsewhere on the page too.
     *
     * @param {unknown} [input] in place of `data-input`
     * @param {{key?: string, conversation?: string}} [options]
     * @returns {import("./run.js").Run}
     */
    start(input?: unknown, options?: {
        key?: string;
        conversation?: string;
    }): import("./run.js").Run;
    /** Cancel the run on the server; what has arrived stays on the page. */
    stop(): void;
    /** Read the bindings again, after markup inside the element was changed. */
    refresh(): void;
}
