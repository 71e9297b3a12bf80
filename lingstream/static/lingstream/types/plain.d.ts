/** plain: data without prototypes. */
/**
 * @param {unknown} value parsed JSON
 * @returns {unknown} a copy whose objects have no prototype, so that `__proto__` is a key like any other
 */
export declare function plain(value: unknown): unknown;
