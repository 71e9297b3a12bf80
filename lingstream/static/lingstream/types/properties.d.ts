/**
 * properties: `data-ling-prop-<name>` writes a property, and does not take from a person what they hold or wrote;
 * `data-ling-class-<name>` writes a class.
 */
import { Part } from "./scope.js";
export declare class Property extends Part {
    #private;
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
    dispose(): void;
}
/** `data-ling-class-<name>`: the class, where the value is true. */
export declare class ClassName extends Part {
    #private;
    attributes: string[];
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
}
