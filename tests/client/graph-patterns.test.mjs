/* Which patterns meet what a step writes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { meets } from "../../lingstream/static/lingstream/admin/graph-patterns.js";

const CASES = [
  ["", "answer", true],
  ["answer", "answer", true],
  ["answr", "answer", false],
  ["outline/*/topic", "outline/*/topic", true],
  ["outline/0/topic", "outline/*/topic", true],
  ["outline/topic", "outline/*/topic", false],
  ["outline/first/topic", "outline/*/topic", false],
  ["**/topic", "outline/*", false],
  ["r/first/topic", "r/*/topic", true, 2],
  ["r/first/second", "r/*/*", false, 2],
  ["outline/*", "outline/*/topic", false],
  ["*/*/topic", "outline/*/topic", true],
  ["**", "outline/*/topic", true],
  ["**/topic", "outline/*/topic", true],
  ["**/title", "outline/*/topic", false],
  ["**/**/topic", "topic", true],
  ["a\\/b", "a\\/b", true],
  ["a/b", "a\\/b", false],
  ["\\*", "\\*", true],
  ["outline/", "outline", false],
];

for (const [pattern, place, expected, rooted] of CASES) {
  test(`${pattern || "nothing"} ${expected ? "meets" : "does not meet"} ${place}`, () => {
    assert.equal(meets(pattern, place, rooted), expected);
  });
}

test("many stars take no time", () => {
  const start = performance.now();
  assert.equal(meets("**/a/".repeat(60) + "b", Array(200).fill("a").join("/")), false);
  assert.ok(performance.now() - start < 1000);
});
