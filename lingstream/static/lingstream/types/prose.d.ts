/** prose: `data-ling-markdown`, parsed as it comes; the parser is loaded when the first one is drawn. */
import { Content } from "./text.js";
/** What Markdown is drawn with; the page may set something else than markdown.js. */
export declare const parsers: {
    markdown: null;
};
export declare class Markdown extends Content {
    #private;
    get seesEnds(): boolean;
    render(value: any, touched: any): Generator<undefined, void, unknown>;
    repair(): void;
}
