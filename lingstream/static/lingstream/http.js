/** http: requests to one site, in the name of its visitor. */

import { written } from "./page.js";

/** @import { Fault } from "./run.js" */
/** @import { Visitor } from "./visitor.js" */

const PATIENCE = 30_000;
const PROTOCOL = "1"; // of the wire, as the server has to speak it

/** What is asked of a site by HTTP. */
export class Http {
    #base;
    #csrf;
    #fetch;
    #visitor;

    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {{csrf?: string, visitor?: Visitor, fetch?: typeof fetch}} [options]
     */
    constructor(base, { csrf, visitor, fetch = (url, init) => globalThis.fetch(url, init) } = {}) {
        this.#base = base.endsWith("/") ? base : `${base}/`;
        this.#csrf = csrf;
        this.#visitor = visitor;
        this.#fetch = fetch;
    }

    /**
     * @param {string} path below the base
     * @param {unknown} body JSON data, or a form with files
     * @param {{method?: string, headers?: Record<string, string>, signal?: AbortSignal}} [options]
     * @returns {Promise<Response | null>} null where there is no network, or we have left
     */
    async send(path, body, { method = "POST", headers, signal } = {}) {
        const token = this.#visitor?.token;
        const who = token && { Authorization: `Ling-Visitor ${token}` };
        const isForm = body instanceof FormData; // of which the browser says what it is
        const type = body && !isForm && { "Content-Type": "application/json" };
        try {
            const response = await (0, this.#fetch)(this.#base + path, { // the browser's is called on nothing else
                method,
                body: isForm ? body : JSON.stringify(body),
                headers: { Accept: "application/json", "X-CSRFToken": this.#csrfToken(), ...who, ...type, ...headers },
                cache: "no-store",
                signal,
            });
            const spoken = response.headers.get("Ling-Protocol") ?? PROTOCOL; // a proxy's answer says none
            if (spoken !== PROTOCOL) {
                response.body?.cancel();
                return foreign(spoken);
            }
            const fresh = response.headers.get("Ling-Visitor");
            if (fresh) this.#visitor?.keep(fresh);
            if (!token || response.status !== 403) return response;
            const { fault } = await readFault(response.clone());
            if (fault.code !== "visitor") return response;
        } catch {
            return null;
        }
        this.#visitor.keep("");
        return this.send(path, body, { method, headers, signal });
    }

    /**
     * @param {string} method
     * @param {string} path below the base
     * @param {unknown} [body] JSON data, or a form with files
     * @param {AbortSignal} [signal]
     * @returns {Promise<any>} the data that is the answer
     * @throws {Error & Fault} `connection` where the server has not answered
     */
    async request(method, path, body, signal) {
        const signals = [AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])];
        const response = await this.send(path, body, { method, signal: AbortSignal.any(signals) });
        if (response?.status === 204) return null;
        const data = response?.ok ? await response.clone().json().catch(() => null) : null;
        if (data) return data;
        const { fault, isProxy } = response ? await readFault(response) : { isProxy: true };
        const told = isProxy ? { code: "connection", message: "no connection to the server", retryable: true } : fault;
        throw Object.assign(new Error(told.message), told);
    }

    #csrfToken() {
        if (this.#csrf) return this.#csrf;
        const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(globalThis.document?.cookie ?? "")?.[1];
        return written("csrf") || cookie || "";
    }
}

/** The refusal that a server of another protocol would give, if it knew ours. */
function foreign(spoken) {
    const message = `expected Ling-Protocol ${PROTOCOL}, got ${spoken}: load the page anew`;
    return Response.json({ error: { code: "protocol", message, retryable: false } }, { status: 426 });
}

/**
 * @param {Response} response that is no good
 * @returns {Promise<{fault: Fault, isProxy: boolean}>} what is wrong; one that is not ours is a proxy's, which lost the
 *   server
 */
export async function readFault(response) {
    const { ok, status } = response;
    const { error } = (await response.json().catch(() => null)) ?? {};
    const message = `the server answered with status ${status}`;
    const fault = { code: `http-${status}`, message, retryable: status >= 500, ...error };
    return { fault, isProxy: !error?.code && (ok || status >= 500 || status === 429) };
}
