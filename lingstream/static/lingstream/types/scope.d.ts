/** scope: the bindings whose uris begin at the same place, which is the document or one item of a list. */
import type { Changes } from "./changes.js";
import type { Place } from "./places.js";
export type Context = {
    root: Element;
    changes: Changes;
    /**
     * what `@…` reads
     */
    about: () => object;
    /**
     * as it is now
     */
    document: unknown;
    /**
     * no document has come yet: what the page has at first stays
     */
    isBlank: boolean;
    /**
     * the bindings of each element
     */
    bound: WeakMap<Node, Part[]>;
    /**
     * the item that each outermost node of an item belongs to
     */
    owners: WeakMap<Node, Scope>;
    /**
     * what looks out of items
     */
    free: Map<string, {
        place: Place;
        parts: Set<Part>;
    }>;
    /**
     * bindings of what people fill in
     */
    fields: Set<Part>;
    /**
     * nodes that were an item's and are not any more
     */
    strays: Set<Node>;
    /**
     * bindings that are still to be drawn for the first time
     */
    fresh: Set<Part>;
    /**
     * makes bindings of kinds that were not loaded when their element was met
     */
    late: (() => void)[];
    /**
     * the class of a kind, if it is loaded
     */
    kindOf: (kind: string) => typeof Part | undefined;
    /**
     * what Markdown is drawn with
     */
    parsers: {
        markdown: Function | null;
    };
    /**
     * bindings that go on drawing by themselves
     */
    unfinished: Set<Part>;
    /**
     * binds what is in an element
     */
    bindIn: (scope: Scope, element: Element) => void;
    /**
     * compiles the template of a list
     */
    planOf: (element: Element) => object | null;
    /**
     * whether the rest is for the next frame
     *
     * What the markup says of one binding.
     */
    isLate: () => boolean;
};
export type Recipe = {
    /**
     * of binding; see kinds.js
     */
    kind: string;
    /**
     * of what is written, where the attribute has one
     */
    name: string;
    place: Place;
    /**
     * whether it fills its element
     */
    isContent: boolean;
    /**
     * of a list's items
     */
    plan: object | null;
    /**
     * that it is not allowed
     */
    isTold?: boolean;
};
/** @import { Changes } from "./changes.js" */
/** @import { Place } from "./places.js" */
/**
 * What all bindings below one element share.
 *
 * @typedef {object} Context
 * @property {Element} root
 * @property {Changes} changes
 * @property {() => object} about what `@…` reads
 * @property {unknown} document as it is now
 * @property {boolean} isBlank no document has come yet: what the page has at first stays
 * @property {WeakMap<Node, Part[]>} bound the bindings of each element
 * @property {WeakMap<Node, Scope>} owners the item that each outermost node of an item belongs to
 * @property {Map<string, {place: Place, parts: Set<Part>}>} free what looks out of items
 * @property {Set<Part>} fields bindings of what people fill in
 * @property {Set<Node>} strays nodes that were an item's and are not any more
 * @property {Set<Part>} fresh bindings that are still to be drawn for the first time
 * @property {(() => void)[]} late makes bindings of kinds that were not loaded when their element was met
 * @property {(kind: string) => typeof Part | undefined} kindOf the class of a kind, if it is loaded
 * @property {{markdown: Function | null}} parsers what Markdown is drawn with
 * @property {Set<Part>} unfinished bindings that go on drawing by themselves
 * @property {(scope: Scope, element: Element) => void} bindIn binds what is in an element
 * @property {(element: Element) => object | null} planOf compiles the template of a list
 * @property {() => boolean} isLate whether the rest is for the next frame
 *
 * What the markup says of one binding.
 *
 * @typedef {object} Recipe
 * @property {string} kind of binding; see kinds.js
 * @property {string} name of what is written, where the attribute has one
 * @property {Place} place
 * @property {boolean} isContent whether it fills its element
 * @property {object | null} plan of a list's items
 * @property {boolean} [isTold] that it is not allowed
 */
/** One binding of one element. What it wrote last it can write again. */
export declare class Part {
    element: any;
    place: any;
    scope: any;
    /** Names of the attributes that it writes. */
    attributes: any[];
    isGone: boolean;
    constructor({ element, place, scope }: {
        element: any;
        place: any;
        scope: any;
    });
    get context(): any;
    get path(): any;
    get value(): any;
    /** Until there is a document, what the page has at first stays. */
    get isEarly(): any;
    /** Whether it is drawn anew where a field is complete and else as it was. */
    get seesEnds(): any;
    /** Undo what somebody else did to what was drawn. */
    repair(): void;
    dispose(): void;
}
/** One that throws, as a custom element's property may, is told of and keeps no other from being drawn. */
export declare function drawn(part: any, value: any, touched: any): void;
/** The same of one that is drawn in slices. */
export declare function rendered(part: any, value: any, touched: any): Generator<any, void, any>;
export declare class Scope {
    #private;
    context: Context;
    /** @param {Context} context */
    constructor(context: Context);
    get isRoot(): boolean;
    /** Whether what it contains was drawn before, by the server or by us. */
    get isTakenOver(): boolean;
    get path(): never[];
    get value(): unknown;
    pathOf(place: any): any;
    /**
     * @param {Element} element
     * @param {Recipe[]} recipes
     * @returns {Part[]} its new bindings
     */
    bind(element: Element, recipes: Recipe[]): Part[];
    /** Draw what is drawn at once, which is all but lists and long texts. */
    draw(value: any, touched: any): void;
    /** Draw what has changed; yields where the rest is for the next frame. */
    render(value: any, touched: any): Generator<any, void, any>;
    renderSlow(value: any, touched: any): Generator<any, void, any>;
    /** Forget the bindings that are gone. */
    sweep(): void;
    dispose(): void;
    release(part: any): void;
}
/** One item of a list. */
export declare class Item extends Scope {
    #private;
    key: string;
    id: string;
    nodes: any[];
    /**
     * @param {Part} list
     * @param {string} key in the list's value
     * @param {string} id what it is known by when the list's order changes
     * @param {boolean} isTakenOver whether its nodes were in the page before
     */
    constructor(list: Part, key: string, id: string, isTakenOver?: boolean);
    get isRoot(): boolean;
    get isTakenOver(): boolean;
    get list(): Part;
    get path(): any[];
    get value(): unknown;
    become(key: any, id: any): void;
    draw(value: any, touched: any): void;
    /** @param {Node[]} nodes that are its own, the outermost ones */
    own(nodes: Node[]): void;
    /** @param {string} label that its elements carry, so that it is known again in this markup */
    mark(label: string): void;
    /** Whether somebody made something else of its element. */
    get isTaken(): boolean;
    /** Leave its nodes to whoever has made something else of them. */
    disown(): void;
    remove(): void;
}
