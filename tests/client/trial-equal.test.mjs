/* What the table of trials says of two outcomes: the same, not the same, or nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { areEqual } from "../../lingstream/static/lingstream/admin/trial-equal.js";

const outcome = (document, status = "finished") => ({ document, told: { status } });

const CASES = {
  "the same": [outcome({ a: [1, null] }), outcome({ a: [1, null] }), true],
  "another order of keys": [outcome({ a: 1, b: { c: 2, d: 3 } }), outcome({ b: { d: 3, c: 2 }, a: 1 }), true],
  "another order of items": [outcome([1, 2]), outcome([2, 1]), false],
  "another value": [outcome({ a: "1" }), outcome({ a: 1 }), false],
  "one is missing": [outcome({ a: 1 }), outcome({}), false],
  "both empty and finished": [outcome(null), outcome(null), true],
  "both failed": [outcome(null, "failed"), outcome(null, "failed"), null],
  "both stopped behind the same text": [outcome({ a: "x" }, "canceled"), outcome({ a: "x" }, "canceled"), null],
  "one failed": [outcome({ a: 1 }), outcome({ a: 1 }, "failed"), null],
  "one is lost": [outcome({ a: 1 }, "lost"), outcome({ a: 1 }), null],
};

for (const [name, [one, other, expected]] of Object.entries(CASES)) {
  test(name, () => {
    assert.equal(areEqual([one, other]), expected);
    assert.equal(areEqual([other, one]), expected);
  });
}
