/** formats: `data-ling-format`, numbers, money and dates as the reader's language writes them. */

import { nearest } from "./around.js";
import { Text } from "./text.js";

const FORMATTERS = new Map();
const MOST = 64; // the language may be bound to a document: what a model writes fills no memory

const OPTIONS = {
    number: {},
    percent: { style: "percent", maximumFractionDigits: 2 },
    currency: { style: "currency" },
    date: { dateStyle: "medium" },
    time: { timeStyle: "short" },
    datetime: { dateStyle: "medium", timeStyle: "short" },
};
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** A text in the format that its element asks for, in the language around it. */
export class Formatted extends Text {
    /** What is still being written has no format yet. */
    textOf(value) {
        const text = super.textOf(value);
        if (this.isWriting) return text;
        const lang = nearest(this, "[lang]")?.getAttribute("lang");
        return format(this.element.getAttribute("data-ling-format"), value, lang) ?? text;
    }
}

/**
 * @param {string} written such as `number` or `currency:EUR`
 * @param {unknown} value
 * @param {string} [lang] the browser's, if it says none
 * @returns {string | undefined} undefined for what has no such format
 */
export function format(written, value, lang) {
    const [kind, unit] = written.split(":");
    if (!Object.hasOwn(OPTIONS, kind)) return undefined;
    const isNumeric = OPTIONS[kind].dateStyle === undefined && OPTIONS[kind].timeStyle === undefined;
    const number = isNumeric ? toNumber(value) : toTime(value);
    if (!Number.isFinite(number)) return undefined;
    try {
        return formatter(kind, unit, lang, isNumeric, DAY.test(value)).format(number);
    } catch {
        return undefined; // no such language or currency
    }
}

function formatter(kind, unit, lang, isNumeric, isDay) {
    const key = JSON.stringify([kind, unit, lang, isDay]);
    if (FORMATTERS.size >= MOST) FORMATTERS.clear();
    if (!FORMATTERS.has(key)) {
        const options = { ...OPTIONS[kind] };
        if (kind === "currency") options.currency = unit;
        // A day is the same one everywhere; a moment is told in the reader's time.
        if (isDay) options.timeZone = "UTC";
        const Format = isNumeric ? Intl.NumberFormat : Intl.DateTimeFormat;
        FORMATTERS.set(key, new Format(lang || undefined, options));
    }
    return FORMATTERS.get(key);
}

function toNumber(value) {
    return typeof value === "string" && value.trim() !== "" ? Number(value) : value;
}

function toTime(value) {
    return typeof value === "string" ? Date.parse(value) : value;
}
