/** values: bindings that write one attribute of their element. */
import { Part } from "./scope.js";
/** `data-ling-if`: `hidden`, unless the value is true. */
export declare class Condition extends Part {
    #private;
    attributes: string[];
    draw(value: any): void;
    repair(): void;
}
/** `data-ling-attr-<name>`: the attribute, where the value is text that it may have. */
export declare class Attribute extends Part {
    #private;
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
}
