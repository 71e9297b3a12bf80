/** lifecycle: which status of a bot run follows which. Mirrors `STEP` of `lingstream.core.lifecycle`. */

const STEP = {
    waiting: ["running", "failed", "canceled"],
    running: ["inferred", "finished", "failed", "canceled"],
    inferred: ["finished", "failed", "canceled"],
    finished: [],
    failed: [],
    canceled: [],
};

/**
 * @param {unknown} now the status of a bot run, as a snapshot or a frame gave it
 * @param {string} to
 * @returns {boolean} whether it may become that; one that we do not know becomes nothing
 */
export function follows(now, to) {
    return Object.hasOwn(STEP, now) && STEP[now].includes(to);
}
