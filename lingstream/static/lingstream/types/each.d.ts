/** each: the items of `data-ling-each`, one copy of its template per item of an array or member of an object. */
import { Part } from "./scope.js";
export declare class Each extends Part {
    #private;
    attributes: string[];
    isList: boolean;
    constructor(given: any);
    get seesEnds(): any;
    render(value: any, touched: any): Generator<any, void, any>;
    /** Put back what was removed, moved or made into something else, and remove what is not ours. */
    repair(): void;
    dispose(): void;
}
