/** order: puts the children of an element in order, and moves as few of them as can be. */

/**
 * @param {Element} parent
 * @param {Node[]} nodes that are to follow each other in this order; others between them stay
 * @param {Node | null} end what the last of them comes before, where it is not there yet
 */
export function arrange(parent, nodes, end) {
    const positions = positionsIn(parent, nodes);
    if (isRising(positions)) return;
    const staying = longestRise(positions);
    let next = end;
    for (let index = nodes.length - 1; index >= 0; index--) {
        if (!staying.has(index)) place(parent, nodes[index], next);
        next = nodes[index];
    }
}

/** Put a node before another one; a node that only moves keeps its focus and its state where the browser can. */
function place(parent, node, next) {
    if (node.parentNode === parent && parent.moveBefore !== undefined) parent.moveBefore(node, next);
    else parent.insertBefore(node, next);
}

/** @returns {number[]} where each node is among the children, -1 if it is not */
function positionsIn(parent, nodes) {
    const places = new Map();
    let count = 0;
    for (let node = parent.firstChild; node !== null; node = node.nextSibling) places.set(node, count++);
    return nodes.map((node) => places.get(node) ?? -1);
}

function isRising(numbers) {
    return numbers.every((number, index) => number >= 0 && (index === 0 || number > numbers[index - 1]));
}

/** @returns {Set<number>} the indexes of a longest rising sequence among those that are not negative */
function longestRise(numbers) {
    const ends = []; // at length - 1: the index of the smallest number that a sequence of that length ends with
    const before = numbers.map((number, index) => {
        if (number < 0) return undefined;
        let [low, high] = [0, ends.length];
        while (low < high) {
            const middle = (low + high) >> 1;
            if (numbers[ends[middle]] < number) low = middle + 1;
            else high = middle;
        }
        ends[low] = index;
        return ends[low - 1];
    });
    const rise = new Set();
    for (let index = ends.at(-1); index !== undefined; index = before[index]) rise.add(index);
    return rise;
}
