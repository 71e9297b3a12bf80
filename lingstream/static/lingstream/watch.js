/**
 * watch: notices what others do to the page below one element, such as a morph with the server's markup.
 *
 * What we wrote is written again in the next frame, elements that came are bound, those that went are
 * forgotten. Our own writes are not seen: nobody watches while we draw.
 */

import { boundIn } from "./recipes.js";

/** @import { Context, Scope } from "./scope.js" */

/** Attributes that begin as bindings do and that we write. */
const OURS = /^data-ling-(?:writing|cut|item|placeholder|error)$/;
const ALL = { attributes: true, characterData: true, childList: true, subtree: true };
const FIGHT = 100; // milliseconds from our repair to the next foreign change
const MOST_FIGHTS = 20;

export class Watch {
    #context;
    #scope;
    #observer;
    #stale = new Set();
    /** Scopes with bindings that are gone. */
    #spoilt = new Set();
    #repaired = -Infinity;
    #fights = 0;

    /**
     * @param {Context} context
     * @param {Scope} scope of the root
     * @param {() => void} tell called when there is something to repair or to draw
     */
    constructor(context, scope, tell) {
        this.#context = context;
        this.#scope = scope;
        this.#observer = new MutationObserver((records) => {
            this.#look(records);
            if (this.#isDue()) tell();
        });
        this.resume();
    }

    resume() {
        this.#observer.observe(this.#context.root, ALL);
    }

    pause() {
        this.#observer.disconnect();
    }

    /** Write again what others have changed. */
    repair() {
        this.#look(this.#observer.takeRecords());
        if (this.#stale.size === 0) return;
        const stale = [...this.#stale];
        this.#stale.clear();
        for (const part of stale) if (!part.isGone) part.repair();
        for (const node of this.#context.strays) this.#welcome(node);
        this.#context.strays.clear();
        if (this.#observer.takeRecords().length > 0) this.#repaired = performance.now();
    }

    /** Look at all of it as if it had just been changed. */
    lookAtAll() {
        const { bound, root } = this.#context;
        for (const element of root.querySelectorAll("*")) {
            for (const part of bound.get(element) ?? []) this.#stale.add(part);
        }
        for (const element of root.children) this.#welcome(element);
    }

    /** A script that undoes each repair at once gets its way until the document changes, and is named. */
    #isDue() {
        const { fresh, late } = this.#context;
        if (this.#stale.size === 0) return fresh.size + late.length > 0;
        this.#fights = performance.now() - this.#repaired < FIGHT ? this.#fights + 1 : 0;
        if (this.#fights === MOST_FIGHTS) {
            const [{ element }] = this.#stale;
            console.warn("lingstream: a script keeps changing what is bound", element);
        }
        return this.#fights < MOST_FIGHTS;
    }

    #look(records) {
        if (records.length === 0) return;
        const [came, gone] = [new Set(), new Set()];
        for (const record of records) {
            if (record.type === "attributes") this.#noteAttribute(record.target, record.attributeName, came);
            else this.#noteContent(record, came, gone);
        }
        for (const node of gone) if (!this.#context.root.contains(node)) this.#leave(node);
        for (const node of came) if (this.#context.root.contains(node)) this.#welcome(node);
        // What a morph sets as a property is seen by nobody.
        for (const field of this.#context.fields) this.#stale.add(field);
        for (const scope of this.#spoilt) scope.sweep();
        this.#spoilt.clear();
    }

    #noteAttribute(element, name, came) {
        const { bound, owners, root } = this.#context;
        if (element === root) return;
        if (name.startsWith("data-ling") && !OURS.test(name)) {
            this.#forget(element);
            came.add(element);
        }
        for (const part of bound.get(element) ?? []) if (part.attributes.includes(name)) this.#stale.add(part);
        if (name === "data-ling-item" && owners.has(element)) this.#stale.add(owners.get(element).list);
    }

    #noteContent({ target, addedNodes, removedNodes }, came, gone) {
        const region = this.#regionOf(target);
        if (region?.isContent) this.#stale.add(region);
        for (const part of this.#context.bound.get(target) ?? []) if (part.isList) this.#stale.add(part);
        for (const node of addedNodes) came.add(node);
        for (const node of removedNodes) gone.add(node);
    }

    /** What is inside of `node`: a scope's, or a binding's that fills it, or nobody's of us. */
    #regionOf(node) {
        const { bound, owners, root } = this.#context;
        for (let around = node; around !== root; around = around.parentNode) {
            if (around === null || ["ling-stream", "template"].includes(around.localName)) return null;
            const content = bound.get(around)?.find(({ isContent }) => isContent);
            if (content !== undefined) return content;
            if (owners.has(around)) return owners.get(around);
        }
        return this.#scope;
    }

    #welcome(node) {
        if (node.nodeType !== Node.ELEMENT_NODE) return;
        const { bound, fresh, owners } = this.#context;
        const scope = owners.has(node) ? null : this.#regionOf(node.parentNode);
        if (scope === null || scope.isContent || node.hasAttribute("data-ling-item")) return;
        for (const [element, recipes] of boundIn(node)) {
            const parts = bound.get(element);
            if (parts?.every((part) => !part.isGone && part.scope === scope)) continue;
            this.#forgetOne(element);
            for (const part of scope.bind(element, recipes)) fresh.add(part);
        }
    }

    /** An item that was removed is put back, as long as its list is there. */
    #leave(node) {
        const list = this.#context.owners.get(node)?.list;
        if (list !== undefined && !list.isGone) this.#stale.add(list);
        else if (node.nodeType === Node.ELEMENT_NODE) this.#forget(node);
    }

    #forget(element) {
        for (const inner of [element, ...element.querySelectorAll("*")]) this.#forgetOne(inner);
    }

    #forgetOne(element) {
        for (const part of this.#context.bound.get(element) ?? []) {
            part.dispose();
            this.#spoilt.add(part.scope);
        }
        this.#context.bound.delete(element);
    }
}
