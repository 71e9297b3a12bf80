/** html: `data-ling-html`, a node tree as a bot with the format html writes it. */

import { imagesFor } from "./around.js";
import { Nodes } from "./nodes.js";
import { Content } from "./text.js";

export class Html extends Content {
    #value = null;
    #nodes = null;

    draw(value) {
        this.mark();
        this.#value = value ?? null;
        if (this.#value !== null) {
            this.keepPlaceholder();
            this.#nodes ??= this.#begin();
            this.#nodes.render(value);
        } else if (this.#nodes !== null) {
            this.#nodes = null;
            this.element.textContent = this.placeholder;
        }
    }

    repair() {
        if (this.#nodes !== null) this.#nodes = this.#begin();
        this.draw(this.#value);
    }

    #begin() {
        return new Nodes(this.element, { images: imagesFor(this) });
    }
}
