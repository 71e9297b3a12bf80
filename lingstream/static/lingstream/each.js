/** each: the items of `data-ling-each`, one copy of its template per item of an array or member of an object. */

import { ALL } from "./changes.js";
import { child, escape, split, unescape } from "./jsonuri.js";
import { arrange } from "./order.js";
import { Item, Part } from "./scope.js";
import { mark } from "./text.js";

const INDEX = /^(?:0|[1-9][0-9]*)$/;

export class Each extends Part {
    attributes = ["data-ling-cut"];
    isList = true;
    #plan;
    #key;
    /** In the page's order; undefined where one is still to be made. */
    #items = [];
    #byKey = new Map();
    #byId = new Map();
    #isFirst = true;
    #isTold = false;

    constructor(given) {
        super(given);
        this.#plan = given.recipe.plan;
        const key = this.element.getAttribute("data-ling-key");
        this.#key = key === null ? null : split(key);
    }

    get seesEnds() {
        return super.seesEnds || (this.#plan?.seesEnds ?? false);
    }

    *render(value, touched) {
        this.#markCut();
        if (!this.#hasPlan()) return;
        if (touched.isAll || this.#isFirst) yield* this.#renew(value);
        else yield* this.#update(value, touched);
    }

    /** Put back what was removed, moved or made into something else, and remove what is not ours. */
    repair() {
        this.#markCut();
        if (this.#isFirst) {
            this.context.fresh.add(this);
            return;
        }
        const { value } = this;
        this.#items.forEach((item, index) => {
            if (item?.isTaken) this.#items[index] = this.#replace(item, value);
        });
        this.#arrange();
        this.#removeOthers();
        for (const item of this.#items) item?.mark(labelOf(item));
    }

    dispose() {
        super.dispose();
        for (const item of this.#items) item?.dispose();
    }

    /** The last template, which new items come before: looked for from behind, because lists grow there. */
    get #end() {
        let end = this.element.lastElementChild;
        while (end !== null && end.localName !== "template") end = end.previousElementSibling;
        return end;
    }

    #markCut() {
        const { changes } = this.context;
        mark(this.element, "data-ling-cut", changes.hasCuts && changes.isCut(this.path));
    }

    #hasPlan() {
        this.#plan ??= this.context.planOf(this.element);
        if (this.#plan === null && !this.#isTold) {
            console.error("lingstream: expected a <template> in", this.element);
            this.#isTold = true;
        }
        return this.#plan !== null;
    }

    /** Draw only the items that have changed, and add those that are new behind the rest. */
    *#update(value, touched) {
        const added = [];
        for (const segment of this.#segments(touched)) {
            const key = unescape(segment);
            const inner = child(value, key);
            const item = this.#byKey.get(key);
            if (item !== undefined) {
                yield* item.render(inner, touched.at(segment));
                this.#rename(item, inner);
                if (this.context.isLate()) yield;
            } else if (inner !== undefined) {
                added.push(key);
            }
            if (this.isGone) return;
        }
        // An object has the keys that read as numbers in front of the others.
        if (!Array.isArray(value) && added.some((key) => INDEX.test(key))) yield* this.#renew(value);
        else yield* this.#add(value, added);
    }

    #segments(touched) {
        if (!touched.isSettled || !this.seesEnds) return touched.segments();
        return new Set([...this.#items.map(({ key }) => escape(key)), ...touched.segments()]);
    }

    *#add(value, keys) {
        if (Array.isArray(value)) keys.sort((a, b) => a - b);
        for (const key of keys) {
            const wanted = this.#idOf(key, child(value, key));
            const item = new Item(this, key, this.#byId.has(wanted) ? `i${key}` : wanted);
            this.#items.push(item);
            this.#register(item);
            yield* this.#insert(item, child(value, key), this.#end);
            if (this.isGone) return;
        }
    }

    /** The value is another one: keep the items that are in it still, in their new order. */
    *#renew(value) {
        const keys = keysOf(value);
        const ids = this.#idsOf(value, keys);
        this.#match(keys, ids);
        const followers = this.#followers();
        for (const [index, key] of keys.entries()) {
            const known = this.#items[index];
            const item = (this.#items[index] ??= new Item(this, key, ids[index]));
            this.#register(item);
            if (known === undefined) {
                yield* this.#insert(item, child(value, key), followers[index]);
            } else {
                item.mark(labelOf(item));
                yield* item.render(child(value, key), ALL);
                if (this.context.isLate()) yield;
            }
            if (this.isGone) return;
        }
    }

    /** Find out which items stay, remove the others and put those that stay in order. */
    #match(keys, ids) {
        const before = this.#isFirst ? this.#takeOver(ids) : this.#items.filter(Boolean);
        const unclaimed = new Map(before.map((item) => [item.id, item]));
        const order = new Map(before.map((item, index) => [item, index]));
        this.#items = keys.map((key, index) => claim(unclaimed, ids[index]) ?? claim(unclaimed, `i${key}`));
        for (const item of unclaimed.values()) item.remove();
        this.#items.forEach((item, index) => item?.become(keys[index], ids[index]));
        this.#byKey.clear();
        this.#byId.clear();
        const orders = this.#items.filter(Boolean).map((item) => order.get(item));
        if (orders.some((position, index) => position < orders[index - 1])) this.#arrange();
        if (this.#isFirst) this.#removeOthers();
        this.#isFirst = false;
    }

    /** The items that are in the page before we draw: from the server, from a cache, or from us. */
    #takeOver(ids) {
        const wanted = new Set(ids);
        const items = new Map();
        for (const node of this.element.children) {
            if (!node.hasAttribute("data-ling-item")) continue;
            const label = node.getAttribute("data-ling-item") || String(items.size);
            const id = wanted.has(`k${label}`) ? `k${label}` : `i${label}`;
            if (!items.has(id)) items.set(id, new Item(this, label, id, true));
            items.get(id).own([...items.get(id).nodes, node]);
        }
        return [...items.values()];
    }

    #register(item) {
        this.#byKey.set(item.key, item);
        if (this.#key !== null) this.#byId.set(item.id, item);
    }

    *#insert(item, value, next) {
        const copy = this.#plan.copyFor(item);
        item.mark(labelOf(item));
        item.draw(value, ALL);
        this.element.insertBefore(copy, next?.parentNode === this.element ? next : this.#end);
        yield* item.renderSlow(value, ALL);
        if (this.context.isLate()) yield;
    }

    /** The nodes that new items at each index come before. */
    #followers() {
        let next = this.#end;
        return this.#items
            .toReversed()
            .map((item) => {
                const follower = next;
                next = item?.nodes[0] ?? next;
                return follower;
            })
            .toReversed();
    }

    #replace(taken, value) {
        taken.disown();
        const item = new Item(this, taken.key, taken.id);
        this.#register(item);
        const rest = this.#insert(item, child(value, item.key), null);
        while (!rest.next().done);
        return item;
    }

    #arrange() {
        const nodes = this.#items.flatMap((item) => item?.nodes ?? []);
        arrange(this.element, nodes, this.#end);
    }

    #removeOthers() {
        const ours = new Set(this.#items.flatMap((item) => item?.nodes ?? []));
        for (const node of [...this.element.children]) {
            if (node.hasAttribute("data-ling-item") && !ours.has(node)) node.remove();
        }
    }

    #rename(item, value) {
        if (this.#key === null) return;
        const wanted = this.#idOf(item.key, value);
        if (wanted === item.id) return;
        this.#byId.delete(item.id);
        item.become(item.key, this.#byId.has(wanted) ? `i${item.key}` : wanted);
        this.#byId.set(item.id, item);
        item.mark(labelOf(item));
    }

    /** What is missing, still being written, or there twice, is known by its place alone. */
    #idsOf(value, keys) {
        if (this.#key === null) return keys.map((key) => `i${key}`);
        const ids = new Set();
        for (const key of keys) {
            const wanted = this.#idOf(key, child(value, key));
            ids.add(ids.has(wanted) ? `i${key}` : wanted);
        }
        return [...ids];
    }

    #idOf(key, value) {
        const found = this.#key?.reduce(child, value);
        const isName = (typeof found === "string" && found !== "") || typeof found === "number";
        if (!isName) return `i${key}`;
        const { changes } = this.context;
        const path = changes.isWritingAny ? [...this.path, escape(key), ...this.#key.map(escape)] : [];
        return changes.isWriting(path) ? `i${key}` : `k${found}`;
    }
}

function keysOf(value) {
    return value !== null && typeof value === "object" ? Object.keys(value) : [];
}

function claim(items, id) {
    const item = items.get(id);
    items.delete(id);
    return item;
}

function labelOf({ id }) {
    return id.slice(1);
}
