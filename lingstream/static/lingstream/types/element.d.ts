/**
 * element: `<ling-stream>` starts or watches a run, goes on with it after a reload, and takes forms and commands.
 *
 * Attributes and events are described in docs/client.md.
 */
import { Client } from "./client.js";
import { Run } from "./run.js";
import type { Status } from "./run.js";
/** `<ling-stream workflow="…" data-input='{…}'>`; leaving the page stops the watching, not the run. */
export declare class LingStreamElement extends HTMLElement {
    #private;
    static observedAttributes: string[];
    /** For modules that come by themselves, as the chat's does: who imports it gets another copy where it is minified. */
    static Client: typeof Client;
    constructor();
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** What we wrote and somebody took away is written again; another run is shown. */
    attributeChangedCallback(name: any, _: any, value: any): void;
    /** @returns {Run | null} the run that is shown */
    get run(): Run | null;
    /** @param {Run | string | null} run to be shown; its id will do */
    set run(run: Run | string | null);
    /** @returns {"idle" | Status} */
    get state(): "idle" | Status;
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
     * @template [Output=unknown] the document
     * @param {unknown} [input] in place of `data-input`
     * @param {{key?: string, conversation?: string, signal?: AbortSignal}} [options]
     * @returns {Run<Output>}
     */
    start<Output = unknown>(input?: unknown, options?: {
        key?: string;
        conversation?: string;
        signal?: AbortSignal;
    }): Run<Output>;
    /** Cancel the run on the server; what has arrived stays on the page. */
    stop(): void;
    /**
     * Go on where the connection or the start has failed, or else ask the same in a new run.
     *
     * @returns {Run}
     */
    retry(): Run;
    /** Look at all that is bound again; what a MutationObserver sees needs no call. */
    refresh(): void;
}
