/** condition: `data-ling-if`. */

import { isTrue } from "./places.js";
import { Part } from "./scope.js";

/** `hidden`, unless the value is true. */
export class Condition extends Part {
    attributes = ["hidden"];
    #isHidden = null;

    draw(value) {
        this.#isHidden = !isTrue(value);
        this.repair();
    }

    repair() {
        if (this.#isHidden !== null && this.element.hidden !== this.#isHidden) this.element.hidden = this.#isHidden;
    }
}
