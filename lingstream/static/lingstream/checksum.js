/** checksum: the crc32 that a run's `done` carries, so that a client knows that it has what the server has. */

const PIECE = 16_384;
const SLICE = 5; // milliseconds

/**
 * @param {unknown} document
 * @returns {number} crc32 of the UTF-8 of the document's canonical JSON
 */
export function checksum(document) {
    const work = digest(document);
    for (;;) {
        const { done, value } = work.next();
        if (done) return value;
    }
}

/**
 * The same in slices of some milliseconds, so that the page stays alive over a document of megabytes.
 *
 * @param {unknown} document which nobody changes meanwhile
 * @param {(crc32: number) => void} tell called at once where one slice is enough
 */
export function checkInSlices(document, tell) {
    const work = digest(document);
    const proceed = () => {
        const end = performance.now() + SLICE;
        let turn;
        do turn = work.next();
        while (!turn.done && performance.now() < end);
        if (turn.done) tell(turn.value);
        else soon(proceed);
    };
    proceed();
}

/**
 * RFC 8785: keys sorted by UTF-16 code units, numbers and strings as ECMAScript writes them.
 *
 * @param {unknown} value a JSON value
 * @returns {string}
 */
export function canonical(value) {
    return [...tokens(value)].join("");
}

/**
 * @param {Uint8Array} bytes
 * @param {number} [before] the crc32 of what comes before them
 * @returns {number} as zlib's crc32
 */
export function crc32(bytes, before = 0) {
    let crc = ~before;
    for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
    return ~crc >>> 0;
}

function* digest(document) {
    const encoder = new TextEncoder();
    let [crc, text] = [0, ""];
    for (const token of tokens(document)) {
        text += token;
        if (text.length < PIECE) continue;
        crc = crc32(encoder.encode(text), crc);
        text = "";
        yield;
    }
    return crc32(encoder.encode(text), crc);
}

/** The canonical JSON in short pieces, none of which ends inside a character. */
function* tokens(document) {
    const open = [membersOf([document], "")];
    while (open.length > 0) {
        const { done, value } = open.at(-1).next();
        if (done) open.pop();
        else if (typeof value === "string") yield value;
        else open.push(typeof value[0] === "string" ? quoted(value[0]) : membersOf(value[0]));
    }
}

/** Texts and, in brackets, what is too long to be written at once: a token for each number would cost more than all. */
function* membersOf(value, brackets = Array.isArray(value) ? "[]" : "{}") {
    const isArray = Array.isArray(value);
    let [text, separator] = [brackets.slice(0, 1), ""];
    for (const key of isArray ? value.keys() : Object.keys(value).sort()) {
        const member = value[key];
        text += separator + (isArray ? "" : `${JSON.stringify(key)}:`);
        separator = ",";
        if (isShort(member)) {
            text += JSON.stringify(member ?? null);
            if (text.length < PIECE) continue;
            yield text;
        } else {
            yield text;
            yield [member];
        }
        text = "";
    }
    yield text + brackets.slice(1);
}

function isShort(value) {
    return typeof value === "string" ? value.length <= PIECE : value === null || typeof value !== "object";
}

function* quoted(text) {
    yield '"';
    for (let begin = 0; begin < text.length; ) {
        let end = begin + PIECE;
        if (/[\ud800-\udbff]/.test(text[end - 1])) end += 1;
        yield JSON.stringify(text.slice(begin, end)).slice(1, -1);
        begin = end;
    }
    yield '"';
}

/** After what the page has to do, in hidden tabs too, where timers wait for a second. */
function soon(callback) {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
        port1.close();
        callback();
    };
    port2.postMessage(null);
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
    let entry = index;
    for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
    return entry;
});
