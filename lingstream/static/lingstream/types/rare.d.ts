/** rare: the kinds of bindings that few pages have; see kinds.js. */
import { Formatted } from "./formats.js";
import { Html } from "./html.js";
import { Property } from "./properties.js";
import { Cited, Markdown } from "./prose.js";
import { Attribute, ClassName } from "./values.js";
export declare const RARE: {
    attr: typeof Attribute;
    cite: typeof Cited;
    class: typeof ClassName;
    format: typeof Formatted;
    html: typeof Html;
    markdown: typeof Markdown;
    prop: typeof Property;
};
