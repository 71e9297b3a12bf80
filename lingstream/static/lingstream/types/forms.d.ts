/** forms: `<form data-ling-start>` as the input of a run, typed by the workflow's schema or else by its controls. */
/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 * @param {string | null} workflow
 * @returns {object} the fields; those whose name is a path, such as `a/b`, are inside others
 * @throws {Error} a file, which no input can hold, or a name that is no path
 */
export declare function inputOf(form: HTMLFormElement, submitter: HTMLElement | null, workflow: string | null): object;
/**
 * Show at its control what the server refused, until something is changed.
 *
 * @param {HTMLFormElement} form
 * @param {{uri?: string, message: string}} fault
 */
export declare function showFault(form: HTMLFormElement, { uri, message }: {
    uri?: string;
    message: string;
}): void;
/**
 * What a browser does that knows `commandfor`: tell the element what its button says.
 *
 * @param {MouseEvent} event a click
 * @param {typeof HTMLElement} kind of the elements that are told
 */
export declare function relayCommand(event: MouseEvent, kind: typeof HTMLElement): void;
