/** lingstream's client: defines `<ling-stream>` and exports the parts it is made of. */

import { LingStreamElement } from "./element.js";

export * from "./core.js";
export { Bindings } from "./bindings.js";
export { LingStreamElement } from "./element.js";

if (customElements.get("ling-stream") === undefined) customElements.define("ling-stream", LingStreamElement);
