/* Where the boxes and arrows of a graph stand: in layers, from the top down. Pure: numbers in, numbers out.

   1. Each arrow leads to a lower layer, but for those that close a circle, which lead up.
   2. Between two layers there is one for the labels, so no two of them, and no box, lie on each other.
   3. The same graph is laid out the same way, and no step takes longer than the square of its size. */

const GAP = 24; // beside one another
const BETWEEN = 26; // above one another
const SWEEPS = 6;
const THIN = 12; // an arrow that passes a layer

/**
 * @typedef {{ id: string, width: number, height: number }} Box
 * @typedef {{ from: string, to: string, width: number, height: number }} Arrow  with the size of its label
 * @typedef {{ x: number, y: number, width: number, height: number }} Place  of the upper left corner
 * @typedef {{ points: [number, number][], label: Place, loop: boolean }} Line  from the source to the target
 */

/**
 * @param {Box[]} boxes
 * @param {Arrow[]} arrows  those between other boxes are left out: their line is null
 * @returns {{ width: number, height: number, boxes: Map<string, Place>, lines: (Line | null)[] }}
 */
export function layout(boxes, arrows) {
  const nodes = new Map(boxes.map((box) => [box.id, node(box.width, box.height, box)]));
  const edges = arrows.map((arrow) => {
    const from = nodes.get(arrow.from);
    const to = nodes.get(arrow.to);
    return from && to ? { arrow, from, to } : null;
  });
  const between = edges.filter((edge) => edge && edge.from !== edge.to);
  for (const edge of edges) if (edge && edge.from === edge.to) makeRoomForLoop(edge);
  turnCircles([...nodes.values()], between);
  setLayers([...nodes.values()], between);
  const ranks = ranksOf([...nodes.values()], between);
  order(ranks);
  const height = setRows(ranks);
  setColumns(ranks);
  const width = shift(ranks);
  return {
    width,
    height,
    boxes: new Map([...nodes].map(([id, each]) => [id, boxPlace(each)])),
    lines: edges.map((edge) => edge && (edge.from === edge.to ? loop(edge) : line(edge))),
  };
}

function node(width, height, box = null) {
  return { box, width, height, layer: 0, x: 0, y: 0, up: [], down: [], room: 0 };
}

/* A step that starts itself has its arrow, and the label, at its right side. */
function makeRoomForLoop(edge) {
  const { from, arrow } = edge;
  edge.number = from.loops ?? 0;
  from.loops = edge.number + 1;
  from.room = Math.max(from.room, arrow.width + 2 * GAP);
  from.width = from.box.width + from.room;
  from.height = Math.max(from.height, from.loops * (arrow.height + 6));
}

/* Depth first: an arrow back to where one comes from closes a circle. */
function turnCircles(nodes, edges) {
  const out = new Map(nodes.map((each) => [each, []]));
  for (const edge of edges) out.get(edge.from).push(edge);
  const aims = new Set(edges.map((edge) => edge.to));
  const state = new Map();
  const begin = [...nodes.filter((each) => !aims.has(each)), ...nodes];
  for (const first of begin) {
    if (state.has(first)) continue;
    state.set(first, "open");
    const stack = [[first, 0]];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = out.get(top[0])[top[1]++];
      if (!edge) {
        state.set(top[0], "done");
        stack.pop();
      } else if (state.get(edge.to) === "open") edge.turned = true;
      else if (!state.has(edge.to)) {
        state.set(edge.to, "open");
        stack.push([edge.to, 0]);
      }
    }
  }
}

const upper = (edge) => (edge.turned ? edge.to : edge.from);
const lower = (edge) => (edge.turned ? edge.from : edge.to);

/* As far up as the arrows allow; layers of labels are the odd ones. */
function setLayers(nodes, edges) {
  const waits = new Map(nodes.map((each) => [each, 0]));
  const out = new Map(nodes.map((each) => [each, []]));
  for (const edge of edges) {
    waits.set(lower(edge), waits.get(lower(edge)) + 1);
    out.get(upper(edge)).push(lower(edge));
  }
  const ready = nodes.filter((each) => !waits.get(each));
  for (const each of ready) {
    for (const next of out.get(each)) {
      next.layer = Math.max(next.layer, each.layer + 2);
      waits.set(next, waits.get(next) - 1);
      if (!waits.get(next)) ready.push(next);
    }
  }
}

/* The nodes of each layer; an arrow has one of its own in each layer that it passes, the first for its label. */
function ranksOf(nodes, edges) {
  const ranks = [];
  const put = (each, layer) => {
    each.layer = layer;
    (ranks[layer] ??= []).push(each);
  };
  for (const each of nodes) put(each, each.layer);
  for (const edge of edges) {
    const [top, bottom] = [upper(edge), lower(edge)];
    const { width, height } = edge.arrow;
    edge.chain = [];
    for (let layer = top.layer + 1; layer < bottom.layer; layer += 1) {
      const each = edge.chain.length ? node(THIN, 0) : node(width, height);
      edge.chain.push(each);
      put(each, layer);
    }
    const path = [top, ...edge.chain, bottom];
    for (let at = 1; at < path.length; at += 1) {
      path[at - 1].down.push(path[at]);
      path[at].up.push(path[at - 1]);
    }
  }
  return ranks;
}

/* Each node near those that it is tied to, so that few arrows cross: the layers by turns from above and below. */
function order(ranks) {
  number(ranks);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 ? "down" : "up";
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      for (const each of rank) each.wish = mean(each[side].map((other) => other.place)) ?? each.place;
      rank.sort((a, b) => a.wish - b.wish || a.place - b.place);
      rank.forEach((each, place) => { each.place = place; });
    }
  }
}

function number(ranks) {
  for (const rank of ranks) rank.forEach((each, place) => { each.place = place; });
}

function setRows(ranks) {
  let y = 0;
  for (const rank of ranks) {
    const height = Math.max(...rank.map((each) => each.height));
    for (const each of rank) each.y = y + height / 2;
    y += height + BETWEEN;
  }
  return Math.max(0, y - BETWEEN);
}

/* The middle of each node as near to its neighbours' as the order and the sizes allow. */
function setColumns(ranks) {
  for (const rank of ranks) place(rank, rank.map(() => 0));
  for (let sweep = 0; sweep < 2 * SWEEPS; sweep += 1) {
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      const side = sweep % 2 ? "down" : "up";
      place(rank, rank.map((each) => mean(each[side].map((other) => centre(other))) ?? centre(each)));
    }
  }
}

/* The least squares of the distances from where each would like to be: neighbours that meet stay together. */
function place(rank, wishes) {
  const offsets = [0];
  for (let at = 1; at < rank.length; at += 1) {
    offsets.push(offsets[at - 1] + (rank[at - 1].width + rank[at].width) / 2 + GAP);
  }
  const groups = [];
  wishes.forEach((wish, at) => {
    let group = { sum: wish - offsets[at] + shiftOf(rank[at]), count: 1 };
    while (groups.length && groups.at(-1).sum / groups.at(-1).count >= group.sum / group.count) {
      const before = groups.pop();
      group = { sum: before.sum + group.sum, count: before.count + group.count };
    }
    groups.push(group);
  });
  const found = groups.flatMap((group) => Array(group.count).fill(group.sum / group.count));
  rank.forEach((each, at) => { each.x = found[at] + offsets[at]; });
}

/* The middle of the box itself, without the room for its loops. */
const shiftOf = (each) => each.room / 2;
const centre = (each) => each.x - shiftOf(each);

function shift(ranks) {
  const all = ranks.flat();
  if (!all.length) return 0;
  const left = Math.min(...all.map((each) => each.x - each.width / 2));
  for (const each of all) each.x -= left;
  return Math.max(...all.map((each) => each.x + each.width / 2));
}

function boxPlace(each) {
  const { width, height } = each.box;
  return { x: centre(each) - width / 2, y: each.y - height / 2, width, height };
}

function line(edge) {
  const [top, bottom] = [upper(edge), lower(edge)];
  const [first] = edge.chain;
  const points = [[port(top, "down", first), boxPlace(top).y + boxPlace(top).height]];
  for (const each of edge.chain) {
    points.push([each.x, each.y - each.height / 2]);
    if (each.height) points.push([each.x, each.y + each.height / 2]);
  }
  points.push([port(bottom, "up", edge.chain.at(-1)), boxPlace(bottom).y]);
  const { width, height } = first;
  const label = { x: first.x - width / 2, y: first.y - height / 2, width, height };
  return { points: edge.turned ? points.reverse() : points, label, loop: false };
}

/* Arrows share a side of a box evenly, in the order of what they lead to. */
function port(each, side, towards) {
  const others = [...each[side]].sort((a, b) => a.x - b.x);
  const { x, width } = boxPlace(each);
  return x + (width * (others.indexOf(towards) + 1)) / (others.length + 1);
}

function loop(edge) {
  const { from, arrow, number: at } = edge;
  const box = boxPlace(from);
  const right = box.x + box.width;
  const step = arrow.height + 6;
  const y = from.y + (at - (from.loops - 1) / 2) * step;
  const within = (value) => Math.min(Math.max(value, box.y + 6), box.y + box.height - 6);
  const label = { x: right + 1.5 * GAP, y: y - arrow.height / 2, width: arrow.width, height: arrow.height };
  const points = [[right, within(y - 8)], [right + 1.5 * GAP, y], [right, within(y + 8)]];
  return { points, label, loop: true };
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
}
