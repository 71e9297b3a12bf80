/** condition: `data-ling-if`. */
import { Part } from "./scope.js";
/** `hidden`, unless the value is true. */
export declare class Condition extends Part {
    #private;
    attributes: string[];
    draw(value: any): void;
    repair(): void;
}
