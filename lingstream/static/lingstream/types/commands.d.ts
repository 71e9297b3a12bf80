/** commands: what a browser does that knows `commandfor`; others load this. */
/** @param {typeof HTMLElement} kind of the elements that are told what their buttons say */
export declare function relayCommands(kind: typeof HTMLElement): void;
