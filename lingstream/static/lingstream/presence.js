/** presence: when the page goes to sleep, and when it is there again. */

const HIDDEN_FOR = 60_000;

/**
 * A page that is left may be kept and shown again; browsers keep none with an open socket, and whatever it had
 * open is dead by then, long before anybody says so. Hence all is let go at `pagehide`.
 *
 * @param {{suspend: () => void, resume: () => void}} session
 * @param {boolean} closes whether it lets go, too, when the page has been hidden for a minute
 * @returns {() => void} ends that
 */
export function attend(session, closes) {
    let timer = null;
    let isAway = false;
    const go = () => {
        isAway = true;
        session.suspend();
    };
    const come = () => {
        isAway = false;
        session.resume();
    };
    const wait = () => {
        clearTimeout(timer);
        if (closes && globalThis.document?.hidden) timer = setTimeout(go, HIDDEN_FOR);
    };
    const handlers = Object.entries({
        online: () => isAway || session.resume(),
        pagehide: go,
        pageshow({ persisted }) {
            if (persisted) go();
            come();
        },
        visibilitychange() {
            wait();
            if (!globalThis.document.hidden) come();
        },
    });
    wait();
    for (const [type, handle] of handlers) globalThis.addEventListener?.(type, handle);
    return () => {
        clearTimeout(timer);
        for (const [type, handle] of handlers) globalThis.removeEventListener?.(type, handle);
    };
}
