/** forms: `<form data-ling-start>` as the input of a run, typed by the workflow's schema or else by its controls. */
/**
 * @param {HTMLFormElement} form
 * @param {FormData} data of when it was submitted
 * @param {string | null} workflow
 * @returns {object} the fields; those whose name is a path, such as `a/b`, are inside others
 * @throws {Error} a file, which no input can hold, or a name that is no path
 */
export declare function inputOf(form: HTMLFormElement, data: FormData, workflow: string | null): object;
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
