/** syncing: how what is shown catches up with the server. */

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/**
 * @param {() => Promise<void>} work
 * @returns {() => Promise<void>} does it, one at a time: however often it is asked for meanwhile, once more after that
 */
export function coalesced(work) {
    let [going, isAsked] = [null, false];
    const repeat = async () => {
        try {
            while (isAsked) {
                isAsked = false;
                await work();
            }
        } finally {
            going = null;
        }
    };
    return () => {
        isAsked = true;
        return (going ??= repeat());
    };
}

/**
 * Ask until there is an answer, whatever becomes of the connection.
 *
 * @template T
 * @param {() => Promise<T>} ask
 * @param {() => boolean} isOver whether nobody waits for it any more
 * @returns {Promise<T>}
 * @throws {Error} what the server has against it
 */
export async function persist(ask, isOver) {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
        try {
            return await ask();
        } catch (fault) {
            if (!fault.retryable || isOver()) throw fault;
        }
        await rest(pause);
    }
}

/** Some time, or until the browser says that there is a network. */
function rest(milliseconds) {
    return new Promise((resolve) => {
        const end = () => {
            clearTimeout(timer);
            globalThis.removeEventListener?.("online", end);
            resolve();
        };
        const timer = setTimeout(end, milliseconds);
        globalThis.addEventListener?.("online", end);
    });
}
