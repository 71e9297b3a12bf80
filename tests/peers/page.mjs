// A library as a page uses it, in one module on standard output:
//
//     node page.mjs react
//
import { build } from "esbuild";
import { compile } from "svelte/compiler";

const MORPHS = {
    idiomorph: `import { Idiomorph } from "idiomorph";
        export const morph = (element, html) => Idiomorph.morph(element, html, { morphStyle: "outerHTML" });`,
    turbo: `import * as Turbo from "@hotwired/turbo";
        Turbo.session.drive = false;
        export const morph = ({ id }, html) => Turbo.renderStreamMessage(
            '<turbo-stream action="replace" method="morph" target="' + id + '"><template>' + html
            + "</template></turbo-stream>");`,
    htmx: `import htmx from "htmx.org";
        export const morph = (element, html) => htmx.swap({ target: element, text: html, swap: "outerMorph" });`,
};

// The same in each framework: a list and a text inside <ling-stream>, a counter of the framework's own beside
// them, and the run as a property.
const FRAMEWORKS = {
    react: `import { createElement as h, useState } from "react";
        import { createRoot } from "react-dom/client";
        import { flushSync } from "react-dom";
        function App({ run }) {
            const [count, setCount] = useState(0);
            window.increment = () => flushSync(() => setCount((before) => before + 1));
            return h("main", null,
                h("output", { className: "n" + count }, count),
                h("ling-stream", { run, share: "S" },
                    h("p", { "data-ling": "answer" }),
                    h("ul", { "data-ling-each": "list" },
                        h("template", null, h("li", { "data-ling": "." })))));
        }
        export const mount = (place, run) => {
            const root = createRoot(place);
            flushSync(() => root.render(h(App, { run })));
            return () => root.unmount();
        };`,
    vue: `import { createApp, h, nextTick, ref } from "vue";
        export const mount = (place, run) => {
            const count = ref(0);
            window.increment = () => { count.value += 1; return nextTick(); };
            const app = createApp({ render: () => h("main", null, [
                h("output", { class: "n" + count.value }, count.value),
                h("ling-stream", { run, share: "S" }, [
                    h("p", { "data-ling": "answer" }),
                    h("ul", { "data-ling-each": "list" }, [h("template", null, [h("li", { "data-ling": "." })])]),
                ])]) });
            app.mount(place);
            return () => app.unmount();
        };`,
    svelte: `import { flushSync, mount as mountComponent, unmount } from "svelte";
        import App from "app.svelte";
        export const mount = (place, run) => {
            const app = mountComponent(App, { target: place, props: { run } });
            flushSync();
            window.increment = () => flushSync(() => app.increment());
            return () => unmount(app);
        };`,
    alpine: `import Alpine from "alpinejs";
        export const mount = (place, run) => {
            place.innerHTML = '<main x-data="{ count: 0 }" @increment.window="count++"><output x-text="count"></output>'
                + '<ling-stream :run="\\'' + run + '\\'" share="S"><p data-ling="answer"></p>'
                + '<ul data-ling-each="list"><template><li data-ling="."></li></template></ul></ling-stream></main>';
            Alpine.start();
            window.increment = () => { dispatchEvent(new CustomEvent("increment")); return Alpine.nextTick(); };
            return () => place.replaceChildren();
        };`,
};

const SVELTE = `<script>
        let { run } = $props();
        let count = $state(0);
        export const increment = () => (count += 1);
    </script>
    <main><output class="n{count}">{count}</output>
    <ling-stream {run} share="S"><p data-ling="answer"></p>
    <ul data-ling-each="list"><template><li data-ling="."></li></template></ul></ling-stream></main>`;

const svelte = {
    name: "svelte",
    setup({ onResolve, onLoad }) {
        onResolve({ filter: /^app\.svelte$/ }, () => ({ path: "app", namespace: "svelte" }));
        onLoad({ filter: /.*/, namespace: "svelte" }, () => ({
            contents: compile(SVELTE, { generate: "client" }).js.code,
            resolveDir: import.meta.dirname,
        }));
    },
};

const { outputFiles } = await build({
    stdin: { contents: { ...MORPHS, ...FRAMEWORKS }[process.argv[2]], resolveDir: import.meta.dirname },
    bundle: true,
    format: "esm",
    write: false,
    conditions: ["browser", "production"],
    define: {
        "process.env.NODE_ENV": '"production"',
        __VUE_OPTIONS_API__: "true",
        __VUE_PROD_DEVTOOLS__: "false",
        __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
    },
    plugins: [svelte],
});
process.stdout.write(outputFiles[0].text);
