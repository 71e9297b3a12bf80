/** order: puts the children of an element in order, and moves as few of them as can be. */
/**
 * @param {Element} parent
 * @param {Node[]} nodes that are to follow each other in this order; others between them stay
 * @param {Node | null} end what the last of them comes before, where it is not there yet
 */
export declare function arrange(parent: Element, nodes: Node[], end: Node | null): void;
