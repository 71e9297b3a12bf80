/** html: `data-ling-html`, a node tree as a bot with the format html writes it. */
import { Content } from "./text.js";
export declare class Html extends Content {
    #private;
    draw(value: any): void;
    repair(): void;
}
