/** prose: `data-ling-markdown`, parsed as it comes. */
import { Content } from "./text.js";
export declare class Markdown extends Content {
    #private;
    get seesEnds(): boolean;
    render(value: any, touched: any): Generator<undefined, void, unknown>;
    repair(): void;
    dispose(): void;
}
