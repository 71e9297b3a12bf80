/** recipes: reads from the markup which bindings its elements have, and compiles templates. */

import { isCustom } from "./attributes.js";
import { need } from "./kinds.js";
import { Place } from "./places.js";

/** @import { Item, Recipe } from "./scope.js" */

const NEVER = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT"]);
const CONTENTS = [
    ["data-ling-each", "each"],
    ["data-ling-html", "html"],
    ["data-ling-markdown", "markdown"],
    ["data-ling", "text"],
    ["data-ling-cite", "cite"],
];
const NAMED = /^data-ling-(attr|prop|class)-(.+)$/;

/**
 * The elements in and below one that are bound, in the order of the page. What a list or a text contains is
 * theirs, and a nested <ling-stream> looks after itself.
 *
 * @param {Element} element
 * @returns {Iterable<[Element, Recipe[]]>}
 */
export function* boundIn(element) {
    if (element.localName === "template") return;
    const recipes = recipesOf(element);
    if (recipes.length > 0) yield [element, recipes];
    if (element.localName !== "ling-stream" && !recipes.some(({ isContent }) => isContent)) yield* boundBelow(element);
}

/** @param {Element} element */
export function* boundBelow(element) {
    const isList = element.hasAttribute("data-ling-each");
    for (const inner of element.children) {
        if (!(isList && inner.hasAttribute("data-ling-item"))) yield* boundIn(inner);
    }
}

/**
 * @param {Element} element
 * @returns {Recipe[]}
 */
function recipesOf(element) {
    const recipes = [];
    const add = (kind, uri, name = "", isContent = false) => {
        try {
            const plan = kind === "each" ? planOf(element) : null;
            recipes.push({ kind, name, isContent, place: new Place(uri), plan });
            need(kind);
        } catch (error) {
            console.error(`lingstream: ${error.message}`, element);
        }
    };
    for (const { name, value } of element.attributes) {
        if (!name.startsWith("data-ling-")) continue;
        if (name === "data-ling-if") add("if", value);
        const [, kind, written] = NAMED.exec(name) ?? [];
        if (kind !== undefined) add(kind, value, written);
    }
    if (element.localName === "ling-stream") return recipes;
    const [name, kind] = CONTENTS.find(([attribute]) => element.hasAttribute(attribute)) ?? [];
    if (kind === "each") add(kind, element.getAttribute(name));
    else if (kind !== undefined && !NEVER.has(element.tagName)) {
        const isFormatted = kind === "text" && element.hasAttribute("data-ling-format");
        add(isFormatted ? "format" : kind, element.getAttribute(name), "", true);
    }
    return recipes;
}

/** A template whose bindings were looked up once: copies are made without looking again. */
export class Plan {
    #source;
    #elements = [];
    #hasCustom;

    /** @param {HTMLTemplateElement} template */
    constructor(template) {
        this.#source = sourceOf(template);
        for (const top of this.#source.children) {
            for (const [element, recipes] of boundIn(top)) {
                this.#elements.push({ steps: stepsTo(element, this.#source), recipes });
            }
        }
        this.#hasCustom = [...this.#source.querySelectorAll("*")].some(isCustom);
        /** Whether something in it changes where a field is complete and else as it was. */
        this.seesEnds = this.#elements.some(({ recipes }) => recipes.some(seesEnds));
    }

    /**
     * @param {Item} item gets the bindings of a new copy
     * @returns {DocumentFragment} the copy
     */
    copyFor(item) {
        const { ownerDocument } = item.list.element;
        const copy = this.#source.cloneNode(true);
        const found = this.#elements.map(({ steps }) => steps.reduce((node, step) => node.childNodes[step], copy));
        ownerDocument.adoptNode(copy);
        // Before the upgrade an element has the children that the template says, and no more.
        if (this.#hasCustom) customElements.upgrade(copy);
        item.own([...copy.childNodes]);
        this.#elements.forEach(({ recipes }, index) => item.bind(found[index], recipes));
        return copy;
    }
}

/**
 * @param {Element} element of a list
 * @returns {Plan | null} null without a template
 */
export function planOf(element) {
    const template = templateOf(element);
    return template === undefined ? null : new Plan(template);
}

/** @param {Element} element of a list */
export function templateOf(element) {
    return [...element.children].find(({ localName }) => localName === "template");
}

function seesEnds({ kind, place, plan }) {
    return place.isClosed || kind === "markdown" || (plan?.seesEnds ?? false);
}

/** React and Vue put a template's children beside its content, not into it. */
function sourceOf(template) {
    const { content } = template;
    if (content.hasChildNodes()) return content.cloneNode(true);
    const source = content.cloneNode();
    source.append(...[...template.childNodes].map((node) => content.ownerDocument.importNode(node, true)));
    return source;
}

function stepsTo(element, source) {
    const steps = [];
    for (let node = element; node !== source; node = node.parentNode) {
        steps.unshift([...node.parentNode.childNodes].indexOf(node));
    }
    return steps;
}
