import assert from "node:assert/strict";
import { describe, test } from "node:test";

/** As much of a page as Markdown is drawn with; each step costs the same however much there is. */
class FakeNode {
    parentNode = null;
    before_ = null;
    after_ = null;

    before(...given) {
        for (const node of given.map(nodeOf)) {
            node.remove();
            const { parentNode, before_ } = this;
            Object.assign(node, { parentNode, before_, after_: this });
            if (before_) before_.after_ = node;
            else parentNode.firstChild = node;
            this.before_ = node;
        }
    }

    remove() {
        const { parentNode, before_, after_ } = this;
        if (parentNode === null) return;
        if (before_) before_.after_ = after_;
        else parentNode.firstChild = after_;
        if (after_) after_.before_ = before_;
        else parentNode.lastChild = before_;
        this.parentNode = this.before_ = this.after_ = null;
    }
}

class FakeText extends FakeNode {
    nodeType = 3;
    data;

    constructor(data) {
        super();
        this.data = data;
    }

    get length() {
        return this.data.length;
    }

    get textContent() {
        return this.data;
    }

    appendData(text) {
        this.data += text;
    }
}

class FakeElement extends FakeNode {
    nodeType = 1;
    firstChild = null;
    lastChild = null;
    attributes = new Map();
    ownerDocument = { createElement: (tag) => new FakeElement(tag) };

    constructor(tag) {
        super();
        this.localName = tag;
    }

    replaceChildren() {
        this.firstChild = this.lastChild = null;
    }

    append(...given) {
        for (const node of given.map(nodeOf)) {
            node.remove();
            Object.assign(node, { parentNode: this, before_: this.lastChild });
            if (this.lastChild) this.lastChild.after_ = node;
            else this.firstChild = node;
            this.lastChild = node;
        }
    }

    get childNodes() {
        const nodes = [];
        for (let node = this.firstChild; node !== null; node = node.after_) nodes.push(node);
        return nodes;
    }

    get childElementCount() {
        return this.childNodes.filter(({ nodeType }) => nodeType === Node.ELEMENT_NODE).length;
    }

    get textContent() {
        return this.childNodes.map((node) => node.textContent).join("");
    }

    setAttribute(name, value) {
        this.attributes.set(name, value);
    }

    hasAttribute(name) {
        return this.attributes.has(name);
    }
}

function nodeOf(given) {
    return typeof given === "string" ? new FakeText(given) : given;
}

globalThis.Node = { ELEMENT_NODE: 1, TEXT_NODE: 3 };

const { MarkdownNodes } = await import("../../lingstream/static/lingstream/markdown-nodes.js");
const { MarkdownParser } = await import("../../lingstream/static/lingstream/markdown-parser.js");

function draw(text) {
    const element = new FakeElement("article");
    const nodes = new MarkdownNodes(element, "", "");
    const parser = new MarkdownParser(nodes);
    for (let at = 0; at < text.length; at += 1_024) {
        for (const char of text.slice(at, at + 1_024)) parser.write(char);
        nodes.flush();
    }
    parser.end();
    nodes.finish();
    return element;
}

/** What is repeated, and what stands in front of it. */
const ATTACKS = {
    "opening brackets": ["["],
    "opening images": ["!["],
    "links that have no address": ["]("],
    "links in links": ["[a](b"],
    "closed brackets": ["[a]"],
    "brackets around brackets": ["[", "", "]"],
    "links in brackets": ["[[a](b)"],
    "images in links": ["[![a](b)"],
    "addresses with parentheses": ["[a](b(c"],
    "nested emphasis": ["*_"],
    "nested emphasis with words": ["*a_b "],
    "strong emphasis": ["**a __b "],
    "strokes": ["~~a"],
    "asterisks": ["*"],
    "underscores": ["_a"],
    "backticks": ["`a"],
    "fences": ["```\na\n"],
    "quotes": ["> "],
    "quotes line by line": ["> > > > > > > >\n"],
    "items in items": ["- "],
    "numbers in numbers": ["1. "],
    "deep lists": ["                    - a\n"],
    "items and paragraphs": ["- a\n\nb\n"],
    "headings": ["# a\n"],
    "rules": ["***\n"],
    "rows": ["|a|b\n", "|a|b|\n|-|-|\n"],
    "cells": ["|a", "|a|b|\n|-|-|\n"],
    "dollars": ["$a"],
    "formulas": ["\\(a"],
    "escapes": ["\\"],
    "breaks": ["<br"],
    "addresses": ["http://a "],
    "an address": ["a", "http://"],
    "tasks": ["- [ ] a\n"],
};
const LENGTH = 20_000;
const ROUNDS = 7;

function written([piece, before = "", after = ""], length) {
    const times = Math.ceil(length / (piece.length + after.length));
    return before + piece.repeat(times) + after.repeat(times);
}

function cost(text) {
    const before = process.cpuUsage();
    draw(text);
    const { user, system } = process.cpuUsage(before);
    return user + system;
}

describe("what a text costs grows as it does", () => {
    for (const [name, attack] of Object.entries(ATTACKS)) {
        test(name, () => {
            const [short, long] = [LENGTH, 4 * LENGTH].map((length) => written(attack, length));
            const costs = [cost(short), Infinity];
            let ratio = Infinity;
            for (let round = 0; round < ROUNDS && ratio > 8; round += 1) {
                [short, long].forEach((text, index) => (costs[index] = Math.min(costs[index], cost(text))));
                ratio = costs[1] / costs[0];
            }
            if (process.env.SHOW) console.log(name, costs.map((each) => each / 1_000), ratio.toFixed(1));
            assert.ok(ratio <= 8, `four times the text cost ${ratio.toFixed(1)} times as much`);
        });
    }
});
