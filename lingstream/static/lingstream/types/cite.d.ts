/**
 * cite: numbers in brackets as links to the sources that an answer cites.
 *
 * The text stays as it was written, for whoever reads or compares it: `[1]` stands in an `<a>`, which leads somewhere once
 * there is such a source. What a source says is shown by source-note.js, which is loaded when somebody asks.
 */
import type { Part } from "./scope.js";
export type Source = {
    number: number;
    title: string;
    /**
     * that a page may lead to
     */
    url: string | null;
    /**
     * whether the source says what is quoted; undefined while nobody has looked
     */
    verified: boolean | undefined;
    /**
     * of the citation, if the answer cites it
     */
    uri: string | null;
    /**
     * as the answer has it, if there is one
     */
    citation: any;
    /**
     * as there was one to cite, if there is that
     */
    passage: any;
};
/** The links in the text of one binding. */
export declare class Marks {
    #private;
    /** @param {Part} part that is drawn when its citations or sources change, too, from now on */
    constructor(part: Part);
    /** The text goes. */
    dispose(): void;
    /**
     * @param {{append: (text: string) => void, end: () => void | Promise<void>}} parser draws the text
     * @returns one that makes links in what was drawn
     */
    around(parser: {
        append: (text: string) => void;
        end: () => void | Promise<void>;
    }): {
        append: (text: any) => void;
        end: () => void | Promise<void>;
    };
    /** Make the links that are still missing, and write at each what is known of its source. */
    update(): void;
}
