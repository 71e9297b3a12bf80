/** http: requests to one site, in the name of its visitor. */
import type { Fault } from "./run.js";
import type { Visitor } from "./visitor.js";
/** What is asked of a site by HTTP. */
export declare class Http {
    #private;
    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {{csrf?: string, visitor?: Visitor, fetch?: typeof fetch}} [options]
     */
    constructor(base: string, { csrf, visitor, fetch }?: {
        csrf?: string;
        visitor?: Visitor;
        fetch?: typeof fetch;
    });
    /**
     * @param {string} path below the base
     * @param {unknown} body JSON data, or a form with files
     * @param {{method?: string, headers?: Record<string, string>, signal?: AbortSignal}} [options]
     * @returns {Promise<Response | null>} null where there is no network, or we have left
     */
    send(path: string, body: unknown, { method, headers, signal }?: {
        method?: string;
        headers?: Record<string, string>;
        signal?: AbortSignal;
    }): Promise<Response | null>;
    /**
     * @param {string} method
     * @param {string} path below the base
     * @param {unknown} [body] JSON data, or a form with files
     * @param {AbortSignal} [signal]
     * @returns {Promise<any>} the data that is the answer
     * @throws {Error & Fault} `connection` where the server has not answered
     */
    request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<any>;
}
/**
 * @param {Response} response that is no good
 * @returns {Promise<{fault: Fault, isProxy: boolean}>} what is wrong; one that is not ours is a proxy's, which lost the
 *   server
 */
export declare function readFault(response: Response): Promise<{
    fault: Fault;
    isProxy: boolean;
}>;
