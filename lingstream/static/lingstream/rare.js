/** rare: the kinds of bindings that few pages have; see kinds.js. */

import { Formatted } from "./formats.js";
import { Html } from "./html.js";
import { Property } from "./properties.js";
import { Cited, Markdown } from "./prose.js";
import { Attribute, ClassName } from "./values.js";

export const RARE = {
    attr: Attribute,
    cite: Cited,
    class: ClassName,
    format: Formatted,
    html: Html,
    markdown: Markdown,
    prop: Property,
};
