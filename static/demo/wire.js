/** The raw stream: each op and event as a line, and per field a lane that shows when it was written. */

const LINES = 300;
const LANES = 14;
const LINE_LENGTH = 240;
const SHORTEST_AXIS = 3_000;
const COLORS = 6;

/** What came over the wire for one `<ling-stream>`. */
export class Wire {
    #log;
    #lanes;
    #figures;
    #pending = [];
    #bars = new Map();
    #begin = null;
    #end = 0;
    #ops = 0;
    #frame = null;
    #follows = true;

    /** @param {Element} section a stream that holds a log, lanes and figures */
    constructor(section) {
        this.#log = section.querySelector("[data-log]");
        this.#lanes = section.querySelector("[data-lanes]");
        this.#figures = section.querySelector("[data-figures]");
        this.#log.addEventListener("scroll", () => (this.#follows = isAtEnd(this.#log)));
        section.addEventListener("ling:started", () => this.#clear());
        section.addEventListener("ling:ops", ({ detail }) => detail.ops.forEach((op) => this.#op(op)));
        section.addEventListener("ling:event", ({ detail }) => this.#note("event", withoutRun(detail)));
        section.addEventListener("ling:snapshot", ({ detail }) => this.#note("snapshot", detail));
        section.addEventListener("ling:error", ({ detail }) => this.#note("fault", { error: detail }));
        section.addEventListener("ling:done", ({ detail }) => {
            this.#note("done", { done: { status: detail.status, usage: detail.usage } });
        });
    }

    /** Forget the run before. */
    #clear() {
        this.#log.replaceChildren();
        this.#lanes.replaceChildren();
        this.#figures.textContent = "";
        this.#bars.clear();
        this.#pending = [];
        this.#begin = null;
        this.#ops = 0;
    }

    #op(op) {
        const lane = op.uri.replace(/\/\d+$/, "");
        this.#ops += 1;
        this.#end = performance.now();
        this.#begin ??= this.#end;
        if (op.delta !== undefined) this.#bar(lane).end = this.#end;
        this.#add(JSON.stringify(op), `op color-${colorOf(lane)}`);
    }

    #note(kind, body) {
        this.#add(JSON.stringify(body), `note ${kind}`);
    }

    #bar(lane) {
        if (!this.#bars.has(lane)) this.#bars.set(lane, { begin: this.#end, end: this.#end, row: null });
        return this.#bars.get(lane);
    }

    #add(text, className) {
        this.#pending.push({ text, className });
        if (this.#pending.length > LINES) this.#pending.shift();
        this.#frame ??= requestAnimationFrame(() => this.#render());
    }

    #render() {
        this.#frame = null;
        this.#log.append(...this.#pending.splice(0).map(toLine));
        while (this.#log.childElementCount > LINES) this.#log.firstElementChild.remove();
        this.#drawLanes(); // which takes room from the log
        if (this.#follows) this.#log.scrollTop = this.#log.scrollHeight;
        if (this.#begin === null) return;
        const seconds = ((this.#end - this.#begin) / 1000).toFixed(1);
        const { figures } = this.#figures.dataset; // the words for it, in the page's language
        this.#figures.textContent = figures.replace("{ops}", this.#ops).replace("{seconds}", seconds);
    }

    #drawLanes() {
        const axis = Math.max(SHORTEST_AXIS, this.#end - this.#begin);
        for (const [lane, bar] of [...this.#bars].slice(0, LANES)) {
            if (bar.row === null) {
                bar.row = toRow(lane, lane || this.#lanes.dataset.lanes);
                this.#lanes.append(bar.row);
            }
            const { style } = bar.row.querySelector("i");
            style.left = `${(100 * (bar.begin - this.#begin)) / axis}%`;
            style.width = `${(100 * (bar.end - bar.begin)) / axis}%`;
        }
    }
}

/** The same field has the same color in the lanes and in the log. */
function colorOf(lane) {
    const words = { answer: 0, details: 1, details_cn: 2, related_question: 3 };
    const number = /\/(\d+)\//.exec(lane)?.[1];
    if (number !== undefined) return lane.endsWith("topic") ? 0 : 1 + (Number(number) % (COLORS - 1));
    return words[lane] ?? COLORS - 1;
}

function isAtEnd({ scrollHeight, scrollTop, clientHeight }) {
    return scrollHeight - scrollTop - clientHeight < 40;
}

function toLine({ text, className }) {
    const line = document.createElement("div");
    line.className = className;
    line.textContent = text.length > LINE_LENGTH ? `${text.slice(0, LINE_LENGTH)}…` : text;
    return line;
}

function toRow(lane, label) {
    const row = document.createElement("div");
    const [name, track, bar] = [
        document.createElement("span"),
        document.createElement("b"),
        document.createElement("i"),
    ];
    name.textContent = label;
    row.className = `lane color-${colorOf(lane)}`;
    track.append(bar);
    row.append(name, track);
    return row;
}

function withoutRun({ run, id, ...event }) {
    return event;
}
