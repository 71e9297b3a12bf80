/** rare: the kinds of bindings that few pages have; see kinds.js. */

import { Formatted } from "./formats.js";
import { Html } from "./html.js";
import { ClassName, Property } from "./properties.js";
import { Markdown } from "./prose.js";

export const RARE = { class: ClassName, format: Formatted, html: Html, markdown: Markdown, prop: Property };
