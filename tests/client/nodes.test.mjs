import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { fold } from "../../lingstream/static/lingstream/fold.js";
import { ELEMENTS, Nodes, safeAttribute } from "../../lingstream/static/lingstream/nodes.js";

const attacks = JSON.parse(readFileSync(new URL("../cases/html_attacks.json", import.meta.url)));

/** As much of a document as the renderer may use: whatever else it called would be missing. */
class FakeDocument {
    made = 0;

    createElement(tag) {
        this.made += 1;
        return new FakeElement(this, tag);
    }

    createTextNode(data) {
        this.made += 1;
        return new FakeText(data);
    }
}

class FakeNode {
    parent = null;

    remove() {
        this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1);
        this.parent = null;
    }

    replaceWith(other) {
        other.parent = this.parent;
        this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1, other);
    }
}

class FakeText extends FakeNode {
    appended = 0;

    constructor(data) {
        super();
        this.data = data;
    }

    appendData(text) {
        this.appended += text.length;
        this.data += text;
    }

    get html() {
        return this.data.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    }
}

class FakeElement extends FakeNode {
    childNodes = [];
    attributes = new Map();

    constructor(document, tag) {
        super();
        this.ownerDocument = document;
        this.tag = tag;
    }

    append(node) {
        node.parent = this;
        this.childNodes.push(node);
    }

    replaceChildren(...nodes) {
        this.childNodes = [];
        for (const node of nodes) this.append(node);
    }

    setAttribute(name, value) {
        this.attributes.set(name, value);
    }

    removeAttribute(name) {
        this.attributes.delete(name);
    }

    get inner() {
        return this.childNodes.map((node) => node.html).join("");
    }

    get html() {
        const attributes = [...this.attributes].map(([name, value]) => ` ${name}="${value}"`).join("");
        return `<${this.tag}${attributes}>${this.inner}</${this.tag}>`;
    }
}

function page() {
    const document = new FakeDocument();
    const element = document.createElement("main");
    element.append(document.createTextNode("waiting"));
    return { document, element, nodes: new Nodes(element) };
}

function draw(tree) {
    const { element, nodes } = page();
    nodes.render(tree);
    return element.inner;
}

const node = (tag, attrs = {}, ...children) => ({ tag, attrs, children });

describe("drawing", () => {
    for (const [name, tree, html] of [
        ["a fragment", { children: ["a", node("p", {}, "b")] }, "a<p>b</p>"],
        ["an array", ["a", node("br")], "a<br></br>"],
        ["an element", node("p", { title: "t" }, "x"), '<p title="t">x</p>'],
        ["a string", "<b>x</b>", "&lt;b>x&lt;/b>"],
        ["a fragment without children yet", {}, ""],
        ["an element without the rest yet", { tag: "p" }, "<p></p>"],
        ["a link", node("a", { href: "/x" }, "x"), '<a rel="noopener noreferrer nofollow" href="/x">x</a>'],
        ["a link with a rel of its own", node("a", { rel: "opener" }), '<a rel="noopener noreferrer nofollow"></a>'],
        ["an element that is not allowed", ["a", node("script", {}, "alert(1)"), "b"], "ab"],
        ["an element with another case", node("SCRIPT", {}, "x"), ""],
        ["names of prototypes", [node("constructor"), node("__proto__"), node("p", { constructor: "x" })], "<p></p>"],
        ["what is no node", [null, 1, true, [], {}, { tag: 1 }, { tag: ["p"] }, { tag: { toString: "p" } }], ""],
        ["children and attributes that are none", { tag: "p", attrs: "onclick", children: "x" }, "<p></p>"],
        ["inherited keys", Object.create({ tag: "p", children: ["x"] }), ""],
    ]) {
        test(name, () => assert.equal(draw(tree), html));
    }

    test("too deep a nesting is cut off", () => {
        let tree = "x";
        for (let depth = 0; depth < 5_000; depth++) tree = node("b", {}, tree);
        assert.ok(draw(tree).length < 3_000);
    });
});

describe("attributes", () => {
    for (const [tag, name, value, safe] of [
        ["p", "title", "x", "x"],
        ["p", "onclick", "alert(1)", null],
        ["p", "style", "x", null],
        ["p", "class", "x", null],
        ["p", "id", "x", null],
        ["p", "href", "/x", null],
        ["p", "data-ling", "x", null],
        ["p", "title", 1, null],
        ["p", "title", { toString: "x" }, null],
        ["a", "target", "_blank", null],
        ["a", "href", "https://example.com/", "https://example.com/"],
        ["a", "href", "mailto:a@example.com", "mailto:a@example.com"],
        ["a", "href", "#part", "#part"],
        ["a", "href", "javascript:alert(1)", null],
        ["a", "href", " \u0001java\tscr\nipt:alert(1)", null],
        ["a", "href", "data:text/html,x", null],
        ["a", "href", "https://[", null],
        ["img", "src", "/x.png", "/x.png"],
        ["img", "src", "//example.com/x.png", "//example.com/x.png"],
        ["img", "src", "mailto:x", null],
        ["img", "src", "data:image/svg+xml,x", null],
        ["img", "src", "blob:https://example.com/x", null],
        ["img", "srcset", "x 1x", null],
        ["td", "colspan", "2", "2"],
        ["td", "colspan", "99999", null],
        ["code", "class", "language-c++", "language-c++"],
        ["code", "class", "language-x y", null],
    ]) {
        test(`${tag} ${name}=${JSON.stringify(value)}`, () => assert.equal(safeAttribute(tag, name, value), safe));
    }
});

describe("growing", () => {
    test("touches only what changed", () => {
        const { document, element, nodes } = page();
        let tree = null;
        const apply = (...ops) => {
            for (const op of ops) tree = fold(tree, op);
            nodes.render(tree);
        };
        apply({ uri: "", value: {} }, { uri: "children", value: [] });
        for (let index = 0; index < 50; index++) {
            const uri = `children/${index}`;
            apply(
                { uri, value: {} },
                { uri: `${uri}/tag`, delta: "p" },
                { uri: `${uri}/attrs`, value: {} },
                { uri: `${uri}/children`, value: [] },
            );
            for (let piece = 0; piece < 4; piece++) apply({ uri: `${uri}/children/0`, delta: "abc " });
        }
        assert.equal(document.made, 2 + 50 * 2);
        assert.equal(element.childNodes[7].html, "<p>abc abc abc abc </p>");
        assert.equal(element.childNodes[7].childNodes[0].appended, 16);
    });

    test("follows corrections", () => {
        const { element, nodes } = page();
        const tree = { children: ["one", node("p", { title: "t" }, "x"), "two"] };
        nodes.render(tree);
        tree.children[0] = "zero";
        tree.children[1].attrs = { lang: "en" };
        nodes.render(tree);
        assert.equal(element.inner, 'zero<p lang="en">x</p>two');
        tree.children[1] = "gone";
        tree.children.length = 2;
        nodes.render(tree);
        assert.equal(element.inner, "zerogone");
        tree.children[0] = node("b", {}, "b");
        nodes.render(tree);
        assert.equal(element.inner, "<b>b</b>gone");
    });

    test("a tag that is still being written", () => {
        const { element, nodes } = page();
        const tree = node("b", {}, "x");
        nodes.render({ children: [tree] });
        tree.tag = "bloc";
        nodes.render({ children: [tree] });
        assert.equal(element.inner, "");
        tree.tag = "blockquote";
        nodes.render({ children: [tree] });
        assert.equal(element.inner, "<blockquote>x</blockquote>");
    });
});

/** What a server that checks nothing would make of the attacks: every tag and attribute in them. */
describe("attacks that a server let through", () => {
    for (const { name, html } of attacks) {
        test(name, () => {
            const names = [...html.matchAll(/[a-z_:][\w:-]*/gi)].map(([found]) => found);
            const values = [...html.matchAll(/=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))/g)].map((found) => found[1] ?? found[2] ?? found[3]);
            const attrs = (value) => Object.fromEntries(names.map((each) => [each.toLowerCase(), value]));
            const tree = [html, ...names, "a", "img"].flatMap((tag) =>
                [html, ...values].map((value) => node(tag.toLowerCase(), attrs(value), html)),
            );
            const { element, nodes } = page();
            nodes.render(tree);
            check(element);
        });
    }

    function check(element) {
        for (const child of element.childNodes) {
            if (child instanceof FakeText) continue;
            assert.ok(ELEMENTS.has(child.tag), child.tag);
            for (const [name, value] of child.attributes) {
                assert.ok(!/^on|style|srcset|action|^id$|^name$/.test(name), name);
                if (["href", "src", "cite"].includes(name)) {
                    assert.match(new URL(value, "https://example.com").protocol, /^(https?|mailto):$/);
                }
            }
            check(child);
        }
    }
});
