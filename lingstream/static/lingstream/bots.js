/** bots: what became of each bot run, by frames and as the server's own fold does it. */

import { follows } from "./lifecycle.js";
import { plain } from "./plain.js";

/**
 * @typedef {{
 *   code: string, message: string, retryable: boolean, bot?: string, retry_after?: number, uri?: string
 * }} Fault
 */

/** A bot that has ended stays as it is, whatever comes after. */
export class Bots {
    /** @type {Record<string, object>} by name */
    all = Object.create(null);

    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut() {
        return Object.values(this.all).flatMap(({ cut }) => (Array.isArray(cut) ? cut : []));
    }

    /** @param {Record<string, object>} [bots] of a snapshot */
    replace(bots = {}) {
        this.all = plain(bots);
    }

    /** @returns {Fault[]} what they failed with */
    get faults() {
        const failed = Object.entries(this.all).filter(([, bot]) => bot.error);
        return failed.map(([name, bot]) => ({ ...bot.error, bot: name }));
    }

    /**
     * @param {{
     *   event: string, bot?: string, step?: string, root?: string, uri?: string, cut?: boolean, data?: any
     * }} frame an event
     */
    follow({ event, bot: name, step, root, uri, cut, data }) {
        if (typeof name !== "string") return;
        const bot = this.#bot(name, { step, root });
        if (event === "inference-done") {
            advance(bot, "inferred");
            if (data?.finish) bot.finish = data.finish;
        } else if (cut === true) {
            bot.cut = [...(bot.cut ?? []), uri];
        } else if (event === "response") {
            advance(bot, "finished");
        }
    }

    /** @param {Fault} fault */
    fail({ bot: name, ...error }) {
        if (typeof name !== "string") return;
        const bot = this.#bot(name);
        if (advance(bot, "failed")) bot.error = plain(error);
    }

    /** The run has ended. */
    end() {
        for (const bot of Object.values(this.all)) advance(bot, "canceled");
    }

    #bot(name, known = {}) {
        return (this.all[name] ??= plain({ ...known, status: "running" }));
    }
}

/** @returns {boolean} whether the bot could become that, and has */
function advance(bot, to) {
    if (!follows(bot.status, to)) return false;
    bot.status = to;
    return true;
}
