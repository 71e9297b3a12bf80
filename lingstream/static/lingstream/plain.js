/** plain: data without prototypes. */

/**
 * @param {unknown} value parsed JSON
 * @returns {unknown} a copy whose objects have no prototype, so that `__proto__` is a key like any other
 */
export function plain(value) {
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== "object") return value;
    const copy = Object.create(null);
    for (const key of Object.keys(value)) copy[key] = plain(value[key]);
    return copy;
}
