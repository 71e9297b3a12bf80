/** properties: `data-ling-prop-<name>` writes a property, and does not take from a person what they hold or wrote. */
import { Part } from "./scope.js";
export declare class Property extends Part {
    #private;
    constructor(given: any);
    draw(value: any): void;
    repair(): void;
    dispose(): void;
}
