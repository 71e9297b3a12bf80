/** bots: what became of each bot run, by frames and as the server's own fold does it. */
export type Fault = {
    code: string;
    message: string;
    retryable: boolean;
    bot?: string;
    retry_after?: number;
    uri?: string;
};
/**
 * @typedef {{
 *   code: string, message: string, retryable: boolean, bot?: string, retry_after?: number, uri?: string
 * }} Fault
 */
/** A bot that has ended stays as it is, whatever comes after. */
export declare class Bots {
    #private;
    /** @type {Record<string, object>} by name */
    all: Record<string, object>;
    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut(): string[];
    /** @param {Record<string, object>} [bots] of a snapshot */
    replace(bots?: Record<string, object>): void;
    /** @returns {Fault[]} what they failed with */
    get faults(): Fault[];
    /**
     * @param {{
     *   event: string, bot?: string, step?: string, root?: string, uri?: string, cut?: boolean, data?: any
     * }} frame an event
     */
    follow({ event, bot: name, step, root, uri, cut, data }: {
        event: string;
        bot?: string;
        step?: string;
        root?: string;
        uri?: string;
        cut?: boolean;
        data?: any;
    }): void;
    /** @param {Fault} fault */
    fail({ bot: name, ...error }: Fault): void;
    /** The run has ended. */
    end(): void;
}
