/** prose: `data-ling-markdown`, parsed as it comes, and `data-ling-cite`, in which numbers lead to sources. */
import { Content } from "./text.js";
export declare class Markdown extends Content {
    #private;
    constructor(given: any);
    get seesEnds(): boolean;
    render(value: any, touched: any): Generator<undefined, void, unknown>;
    repair(): void;
    dispose(): void;
    /** @returns {{append: (text: string) => void, end: () => void | Promise<void>}} what draws the text, from the begin */
    parse(): {
        append: (text: string) => void;
        end: () => void | Promise<void>;
    };
}
/** A text without Markdown, in which numbers lead to sources. */
export declare class Cited extends Markdown {
    parse(): {
        append: (text: any) => any;
        end(): void;
    };
}
