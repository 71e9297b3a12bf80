/* The layered layout of a workflow's graph: nothing lies on anything else, whatever the graph. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout } from "../../lingstream/static/lingstream/admin/graph-layout.js";

const box = (id, width = 120) => ({ id, width, height: 50 });
const arrow = (from, to, width = 100) => ({ from, to, width, height: 30 });
const names = (text) => text.split("").map((id) => box(id));
const drawn = (boxes, pairs) => layout(boxes, pairs.split(" ").filter(Boolean).map(([from, to]) => arrow(from, to)));

const CASES = {
  "nothing": [[], ""],
  "one step": [names("a"), ""],
  "a chain": [names("abc"), "ab bc"],
  "steps side by side": [names("abcd"), ""],
  "a fan": [names("abcd"), "ab ac ad"],
  "two arrows between two steps": [names("ab"), "ab ab"],
  "an arrow past a layer": [names("abcd"), "ab bc cd ad"],
  "a circle": [names("abc"), "ab bc ca"],
  "a circle that nothing starts": [names("ab"), "ab ba"],
  "a step that starts itself": [names("abc"), "ab bb bb bc ac"],
  "crossing arrows": [names("abcdef"), "ad ae bf be cd cf ad"],
  "an arrow to nowhere": [names("a"), "ax xa"],
};

function overlap(one, other) {
  return (
    one.x < other.x + other.width && other.x < one.x + one.width
    && one.y < other.y + other.height && other.y < one.y + one.height
  );
}

function check({ boxes, lines, width, height }) {
  const places = [...boxes.values(), ...lines.filter(Boolean).map((line) => line.label)];
  places.forEach((one, at) => {
    for (const value of Object.values(one)) assert.ok(Number.isFinite(value));
    assert.ok(one.x >= -0.01 && one.y >= -0.01 && one.x + one.width <= width + 0.01, "inside");
    assert.ok(one.y + one.height <= height + 0.01, "inside");
    for (const other of places.slice(at + 1)) assert.ok(!overlap(one, other), "apart");
  });
}

for (const [name, [boxes, pairs]] of Object.entries(CASES)) {
  test(`boxes and labels lie apart: ${name}`, () => check(drawn(boxes, pairs)));
}

test("an arrow leads from the bottom of its source to the top of its target", () => {
  const { boxes, lines: [line] } = drawn(names("ab"), "ab");
  const [a, b] = [boxes.get("a"), boxes.get("b")];
  assert.ok(a.y + a.height < b.y);
  assert.deepEqual(line.points[0], [a.x + a.width / 2, a.y + a.height]);
  assert.deepEqual(line.points.at(-1), [b.x + b.width / 2, b.y]);
});

test("an arrow that closes a circle leads up", () => {
  const { boxes, lines } = drawn(names("ab"), "ab ba");
  assert.equal(lines[1].points[0][1], boxes.get("b").y);
  assert.equal(lines[1].points.at(-1)[1], boxes.get("a").y + boxes.get("a").height);
});

test("what is straight is drawn straight", () => {
  const { boxes } = drawn(names("abc"), "ab bc");
  assert.equal(new Set([...boxes.values()].map((each) => each.x)).size, 1);
});

test("arrows that need not cross do not", () => {
  const { boxes } = drawn(names("abcd"), "ad bc");
  assert.equal(Math.sign(boxes.get("a").x - boxes.get("b").x), Math.sign(boxes.get("d").x - boxes.get("c").x));
});

test("arrows between boxes that are not there have no line", () => {
  assert.deepEqual(drawn(names("a"), "ax").lines, [null]);
});

test("the same graph is drawn the same way", () => {
  const [boxes, pairs] = CASES["crossing arrows"];
  assert.deepEqual(drawn(boxes, pairs), drawn(boxes, pairs));
});

test("chance finds no graph that it cannot draw", () => {
  let seed = 7;
  const random = (below) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  for (let turn = 0; turn < 200; turn += 1) {
    const boxes = Array.from({ length: 1 + random(12) }, (_, at) => box(String(at), 40 + random(200)));
    const arrows = Array.from({ length: random(20) }, () =>
      arrow(String(random(boxes.length)), String(random(boxes.length)), 20 + random(150)));
    check(layout(boxes, arrows));
  }
});

test("a large graph is laid out at once", () => {
  const boxes = Array.from({ length: 80 }, (_, at) => box(String(at)));
  const arrows = Array.from({ length: 200 }, (_, at) => arrow(String(at % 80), String((at * 7 + 3) % 80)));
  const start = performance.now();
  check(layout(boxes, arrows));
  assert.ok(performance.now() - start < 2000);
});
