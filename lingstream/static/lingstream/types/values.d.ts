/** values: bindings that write one attribute of their element, or one class. */
import { Part } from "./scope.js";
/** `data-ling-attr-<name>`: the attribute, where the value is text that it may have. */
export declare class Attribute extends Part {
    #private;
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
}
/** `data-ling-class-<name>`: the class, where the value is true. */
export declare class ClassName extends Part {
    #private;
    attributes: string[];
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
}
