/** rare: the kinds of bindings that few pages have; see kinds.js. */
import { Formatted } from "./formats.js";
import { Html } from "./html.js";
import { ClassName, Property } from "./properties.js";
import { Markdown } from "./prose.js";
export declare const RARE: {
    class: typeof ClassName;
    format: typeof Formatted;
    html: typeof Html;
    markdown: typeof Markdown;
    prop: typeof Property;
};
