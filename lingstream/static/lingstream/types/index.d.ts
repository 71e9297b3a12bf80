/** lingstream's client: defines `<ling-stream>` and exports the parts it is made of. */
export * from "./core.js";
export { Bindings } from "./bindings.js";
export { LingStreamElement } from "./element.js";
