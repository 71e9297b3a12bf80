// A recipe of docs/recipes.md as a bundler would make it, on standard output: `node recipe.mjs FOLDER ENTRY`

import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { build } from "esbuild";
import { compile, compileModule } from "svelte/compiler";

const [folder, entry] = process.argv.slice(2);

const svelte = {
    name: "svelte",
    setup({ onLoad }) {
        onLoad({ filter: /\.svelte(\.js)?$/ }, async ({ path }) => {
            const make = path.endsWith(".js") ? compileModule : compile;
            const { js } = make(await readFile(path, "utf8"), { generate: "client", filename: basename(path) });
            return { contents: js.code };
        });
    },
};

const { outputFiles } = await build({
    entryPoints: [join(folder, entry)],
    bundle: true,
    format: "esm",
    write: false,
    jsx: "automatic",
    nodePaths: [join(import.meta.dirname, "node_modules")],
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
