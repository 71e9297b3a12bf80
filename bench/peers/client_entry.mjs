// What bench/client.py's page has of its npm peers, as one module.

export { default as DOMPurify } from "dompurify";
export { marked } from "marked";
export { StreamActions, renderStreamMessage } from "@hotwired/turbo";
