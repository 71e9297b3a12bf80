/**
 * notices: that something has changed in a conversation, and not what. They may get lost or come twice: `seq` decides.
 *
 * One attachment for each conversation, however many places of the page ask for it, and one for all of the
 * person's. It stands in the place of a run in session.js, so it comes back as runs do.
 */

/**
 * @typedef {object} Notice
 * @property {string | null} conversation
 * @property {number | null} seq of the conversation, with this change
 * @property {"turn" | "ended" | "change" | "remove" | "attached"} kind attached: is heard of from here on; without a
 *   conversation some notices may have been lost
 * @property {string | null} run
 *
 * @typedef {object} Listener
 * @property {(notice: Notice) => void} hear
 * @property {() => void} wake looks for itself: the page is in sight again, and no notices come to it
 */

const ALL = "all";
const TRY_AGAIN = 60_000; // milliseconds after all attempts to come back have failed

/** What a client is attached to. */
export class Notices {
    #link;
    #attachments = new Map();

    constructor(link) {
        this.#link = link;
        const wake = () => globalThis.document?.hidden || this.#attachments.forEach((each) => each.wake());
        for (const type of ["visibilitychange", "online"]) globalThis.addEventListener?.(type, wake);
        // Whoever shows another token is attached to nothing any more.
        link.visitor?.listeners.add(() => this.#attachments.forEach((each) => each.again()));
    }

    /**
     * @param {string} id of a conversation
     * @param {string} type of a message that only a socket takes which is attached to it
     * @returns {boolean} whether there is one, and it has been told
     */
    tell(id, type) {
        const isOpen = this.#attachments.get(id)?.hasSocket;
        if (isOpen) this.#link.tell({ type, conversation: id });
        return isOpen;
    }

    /**
     * @param {string} name of a conversation, or `all`
     * @param {Listener} listener
     * @returns {() => void} ends that
     */
    follow(name, listener) {
        const known = this.#attachments.get(name);
        const attachment = known ?? new Attachment(name);
        attachment.listeners.add(listener);
        if (!known) {
            this.#attachments.set(name, attachment);
            this.#link.watch(attachment, null, name);
        }
        return () => {
            attachment.listeners.delete(listener);
            if (attachment.listeners.size > 0 || this.#attachments.get(name) !== attachment) return;
            this.#attachments.delete(name);
            this.#link.tell({ type: "detach", ...(name === ALL ? { all: true } : { conversation: name }) });
            attachment.close();
        };
    }
}

class Attachment {
    last = null; // the seq that was told
    ended = false;
    hasSocket = false; // that is attached
    listeners = new Set();
    #timer;
    #session = null;
    #transport;

    constructor(name) {
        this.id = name;
    }

    attach(session) {
        this.#session = session;
    }

    /** The socket and the transports over HTTP say it in their own ways. */
    connect(transport, sink) {
        this.interrupt();
        this.#transport = transport;
        const [run, after] = [this.id, this.last ?? undefined];
        if (!transport.begin) return transport.open("attach", { run, after }, sink);
        const what = run === ALL ? { all: true } : { conversation: run, seq: after };
        return transport.begin({ type: "attach", ...what }, sink, "");
    }

    receive({ data: notice }) {
        const { conversation, seq } = notice;
        if (this.id === ALL || conversation === this.id) this.#tell(({ hear }) => hear(notice));
        else if (conversation === null) this.#tell(({ wake }) => wake());
        if (conversation !== this.id) return;
        this.last = Math.max(this.last ?? 0, seq);
        this.hasSocket = Boolean(this.#transport.begin);
    }

    /** A server that has none is no fault. One that was away for long, or a proxy that hides it, is tried again. */
    end(status) {
        this.ended = true;
        if (status !== "lost") return;
        this.#timer = setTimeout(() => this.wake(), TRY_AGAIN);
        this.#timer.unref?.(); // a process without a page is not kept alive for that
    }

    report() {}

    interrupt() {
        this.hasSocket = false;
    }

    wake() {
        if (!this.ended) return;
        this.again();
        this.#tell(({ wake }) => wake());
    }

    again() {
        clearTimeout(this.#timer);
        this.ended = false;
        this.#session.again();
    }

    #tell(way) {
        [...this.listeners].forEach(way);
    }

    close() {
        clearTimeout(this.#timer);
        this.#session.close();
    }
}
