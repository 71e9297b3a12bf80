/** commands: what a browser does that knows `commandfor`; others load this. */

/** @param {typeof HTMLElement} kind of the elements that are told what their buttons say */
export function relayCommands(kind) {
    document.addEventListener("click", (event) => {
        const button = event.composedPath()[0].closest?.("button[commandfor]:not(:disabled)");
        const target = button?.getRootNode().getElementById(button.getAttribute("commandfor"));
        const isSubmit = button?.form && button.type !== "button";
        if (event.defaultPrevented || isSubmit || !(target instanceof kind)) return;
        const command = { command: button.getAttribute("command"), source: button };
        target.dispatchEvent(Object.assign(new Event("command"), command));
    });
}
