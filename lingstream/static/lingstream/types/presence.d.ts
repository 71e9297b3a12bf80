/** presence: when the page goes to sleep, and when it is there again. */
/**
 * A page that is left may be kept and shown again; browsers keep none with an open socket, and whatever it had
 * open is dead by then, long before anybody says so. Hence all is let go at `pagehide`.
 *
 * @param {{suspend: () => void, resume: () => void}} session
 * @param {boolean} closes whether it lets go, too, when the page has been hidden for a minute
 * @returns {() => void} ends that
 */
export declare function attend(session: {
    suspend: () => void;
    resume: () => void;
}, closes: boolean): () => void;
