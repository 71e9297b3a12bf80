/** lingstream's client: defines `<ling-stream>` and exports the parts it is made of. */

import { LingStreamElement } from "./element.js";

export { Bindings } from "./bindings.js";
export { checksum } from "./checksum.js";
export { Client } from "./client.js";
export { LingStreamElement } from "./element.js";
export { fold } from "./fold.js";
export { JsonUriError, escape, get, join, set, split, unescape } from "./jsonuri.js";
export { Run, RunError } from "./run.js";

if (customElements.get("ling-stream") === undefined) customElements.define("ling-stream", LingStreamElement);
