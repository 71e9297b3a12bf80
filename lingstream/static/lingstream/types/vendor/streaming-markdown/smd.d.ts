export declare const DOCUMENT = 1, PARAGRAPH = 2, HEADING_1 = 3, HEADING_2 = 4, HEADING_3 = 5, HEADING_4 = 6, HEADING_5 = 7, HEADING_6 = 8, CODE_BLOCK = 9, CODE_FENCE = 10, CODE_INLINE = 11, ITALIC_AST = 12, ITALIC_UND = 13, STRONG_AST = 14, STRONG_UND = 15, STRIKE = 16, LINK = 17, RAW_URL = 18, IMAGE = 19, BLOCKQUOTE = 20, LINE_BREAK = 21, RULE = 22, LIST_UNORDERED = 23, LIST_ORDERED = 24, LIST_ITEM = 25, CHECKBOX = 26, TABLE = 27, TABLE_ROW = 28, TABLE_CELL = 29, EQUATION_BLOCK = 30, EQUATION_INLINE = 31, NEWLINE = 101, MAYBE_URL = 102, MAYBE_TASK = 103, MAYBE_BR = 104, MAYBE_EQ_BLOCK = 105;
/** @enum {(typeof Token)[keyof typeof Token]} */
export declare const Token: {
    readonly Document: 1;
    readonly Blockquote: 20;
    readonly Paragraph: 2;
    readonly Heading_1: 3;
    readonly Heading_2: 4;
    readonly Heading_3: 5;
    readonly Heading_4: 6;
    readonly Heading_5: 7;
    readonly Heading_6: 8;
    readonly Code_Block: 9;
    readonly Code_Fence: 10;
    readonly Code_Inline: 11;
    readonly Italic_Ast: 12;
    readonly Italic_Und: 13;
    readonly Strong_Ast: 14;
    readonly Strong_Und: 15;
    readonly Strike: 16;
    readonly Link: 17;
    readonly Raw_URL: 18;
    readonly Image: 19;
    readonly Line_Break: 21;
    readonly Rule: 22;
    readonly List_Unordered: 23;
    readonly List_Ordered: 24;
    readonly List_Item: 25;
    readonly Checkbox: 26;
    readonly Table: 27;
    readonly Table_Row: 28;
    readonly Table_Cell: 29;
    readonly Equation_Block: 30;
    readonly Equation_Inline: 31;
};
/**
 * @param   {Token} type
 * @returns {string    } */
export declare function token_to_string(type: Token): string;
export declare const HREF = 1, SRC = 2, LANG = 4, CHECKED = 8, START = 16;
/** @enum {(typeof Attr)[keyof typeof Attr]} */
export declare const Attr: {
    readonly Href: 1;
    readonly Src: 2;
    readonly Lang: 4;
    readonly Checked: 8;
    readonly Start: 16;
};
/**
 * @param   {Attr} type
 * @returns {string    } */
export declare function attr_to_html_attr(type: Attr): string;
/**
 * @param   {number} level
 * @returns {Token } */
export declare const level_to_heading: (level: number) => Token;
export declare const heading_from_level: typeof level_to_heading;
/**
 * @param   {Token} token
 * @returns {number} */
export declare const heading_to_level: (token: Token) => number;
export type Parser = {
    /**
     * - {@link Renderer} interface
     */
    renderer: Any_Renderer;
    /**
     * - Text to be added to the last token in the next flush
     */
    text: string;
    /**
     * - Characters for identifying tokens
     */
    pending: string;
    /**
     * - Current token and it's parents (a slice of a tree)
     */
    tokens: Uint32Array;
    /**
     * - Number of tokens in types without root
     */
    len: number;
    /**
     * - Last token in the tree
     */
    token: number;
    spaces: Uint8Array;
    indent: string;
    indent_len: number;
    /**
     * - For {@link Token.Code_Fence} parsing
     */
    fence_end: number;
    fence_start: number;
    /**
     * - For Blockquote parsing
     */
    blockquote_idx: number;
    /**
     * - For horizontal rule parsing
     */
    hr_char: string;
    /**
     * - For horizontal rule parsing
     */
    hr_chars: number;
    table_state: number;
};
/**
 * Makes a new Parser object.
 * @param   {Any_Renderer} renderer
 * @returns {Parser      } */
export declare function parser(renderer: Any_Renderer): Parser;
/**
 * Finish rendering the markdown - flushes any remaining text.
 * @param   {Parser} p
 * @returns {void  } */
export declare function parser_end(p: Parser): void;
/**
 * Parse and render another chunk of markdown.
 * @param   {Parser} p
 * @param   {string} chunk
 * @returns {void  } */
export declare function parser_write(p: Parser, chunk: string): void;
export type Renderer_Add_Token<T> = (data: T, type: Token) => void;
export type Renderer_End_Token<T> = (data: T) => void;
export type Renderer_Add_Text<T> = (data: T, text: string) => void;
export type Renderer_Set_Attr<T> = (data: T, type: Attr, value: string) => void;
export type Renderer<T> = {
    /**
     * User data object. Available as first param in callbacks.
     */
    data: T;
    /**
     * When the tokens starts.
     */
    add_token: Renderer_Add_Token<T>;
    /**
     * When the token ends.
     */
    end_token: Renderer_End_Token<T>;
    /**
     * To append text to current token. Can be called multiple times or none.
     */
    add_text: Renderer_Add_Text<T>;
    /**
     * Set additional attributes of current token eg. the link url.
     */
    set_attr: Renderer_Set_Attr<T>;
};
export type Any_Renderer = Renderer<any>;
export type Default_Renderer_Data = {
    nodes: HTMLElement[];
    index: number;
};
export type Default_Renderer = Renderer<Default_Renderer_Data>;
export type Default_Renderer_Add_Token = Renderer_Add_Token<Default_Renderer_Data>;
export type Default_Renderer_End_Token = Renderer_End_Token<Default_Renderer_Data>;
export type Default_Renderer_Add_Text = Renderer_Add_Text<Default_Renderer_Data>;
export type Default_Renderer_Set_Attr = Renderer_Set_Attr<Default_Renderer_Data>;
/**
 * @template T
 * @callback Renderer_Add_Token
 * @param   {T    } data
 * @param   {Token} type
 * @returns {void } */
/**
 * @template T
 * @callback Renderer_End_Token
 * @param   {T    } data
 * @returns {void } */
/**
 * @template T
 * @callback Renderer_Add_Text
 * @param   {T     } data
 * @param   {string} text
 * @returns {void  } */
/**
 * @template T
 * @callback Renderer_Set_Attr
 * @param   {T     } data
 * @param   {Attr  } type
 * @param   {string} value
 * @returns {void  } */
/**
 * The renderer interface.
 * @template T
 * @typedef  {object               } Renderer
 * @property {T                    } data      User data object. Available as first param in callbacks.
 * @property {Renderer_Add_Token<T>} add_token When the tokens starts.
 * @property {Renderer_End_Token<T>} end_token When the token ends.
 * @property {Renderer_Add_Text <T>} add_text  To append text to current token. Can be called multiple times or none.
 * @property {Renderer_Set_Attr <T>} set_attr  Set additional attributes of current token eg. the link url.
 */
/** @typedef {Renderer<any>} Any_Renderer */
/**
 * @typedef  {object} Default_Renderer_Data
 * @property {HTMLElement[]} nodes
 * @property {number       } index
 *
 * @typedef {Renderer          <Default_Renderer_Data>} Default_Renderer
 * @typedef {Renderer_Add_Token<Default_Renderer_Data>} Default_Renderer_Add_Token
 * @typedef {Renderer_End_Token<Default_Renderer_Data>} Default_Renderer_End_Token
 * @typedef {Renderer_Add_Text <Default_Renderer_Data>} Default_Renderer_Add_Text
 * @typedef {Renderer_Set_Attr <Default_Renderer_Data>} Default_Renderer_Set_Attr
 */
/**
 * @param   {HTMLElement     } root
 * @returns {Default_Renderer} */
export declare function default_renderer(root: HTMLElement): Default_Renderer;
export type Logger_Renderer_Data = undefined;
export type Logger_Renderer = Renderer<Logger_Renderer_Data>;
export type Logger_Renderer_Add_Token = Renderer_Add_Token<Logger_Renderer_Data>;
export type Logger_Renderer_End_Token = Renderer_End_Token<Logger_Renderer_Data>;
export type Logger_Renderer_Add_Text = Renderer_Add_Text<Logger_Renderer_Data>;
export type Logger_Renderer_Set_Attr = Renderer_Set_Attr<Logger_Renderer_Data>;
/**
 * @typedef {undefined} Logger_Renderer_Data
 *
 * @typedef {Renderer          <Logger_Renderer_Data>} Logger_Renderer
 * @typedef {Renderer_Add_Token<Logger_Renderer_Data>} Logger_Renderer_Add_Token
 * @typedef {Renderer_End_Token<Logger_Renderer_Data>} Logger_Renderer_End_Token
 * @typedef {Renderer_Add_Text <Logger_Renderer_Data>} Logger_Renderer_Add_Text
 * @typedef {Renderer_Set_Attr <Logger_Renderer_Data>} Logger_Renderer_Set_Attr
 */
/** @returns {Logger_Renderer} */
export declare function logger_renderer(): Logger_Renderer;
