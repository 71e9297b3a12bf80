/** lingstream's client without a page: for Node, workers, and who draws by other means. No module here needs a DOM. */
export { checksum } from "./checksum.js";
export { Client } from "./client.js";
export { fold } from "./fold.js";
export { JsonUriError, escape, get, join, set, split, unescape } from "./jsonuri.js";
export { Run, RunError } from "./run.js";
