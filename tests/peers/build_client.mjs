// Makes what of the client is made: the minified files, and the types. `node build_client.mjs [FOLDER]`

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { minify } from "terser";

const HERE = dirname(fileURLToPath(import.meta.url));
const CLIENT = join(HERE, "../../lingstream/static/lingstream");
const ENTRIES = ["index.js", "core.js", "checksum.js", "markdown.js", "chat.js"];
const LATER = [
    "announcer", "chat", "checksum", "cite", "commands", "conversations", "feed", "forms", "iteration", "markdown",
    "rare", "source-note",
];
const target = process.argv[2] ?? CLIENT;
const { version } = JSON.parse(readFileSync(join(CLIENT, "package.json")));

/** What is loaded when it is needed is a file of its own, and whoever loads it is told its name. */
const lazily = {
    name: "lazily",
    setup({ onResolve }) {
        onResolve({ filter: /^\.\// }, ({ kind, path }) => {
            if (kind !== "dynamic-import") return undefined;
            return { path: path.replace(/\.js$/, ".min.js"), external: true };
        });
    },
};

/** esbuild makes one file of several and shortens private names; terser takes 2 % more off what a page waits for. */
async function bundle(name, outfile) {
    const { outputFiles } = await build({
        entryPoints: [join(CLIENT, `${name}.js`)],
        bundle: true,
        minify: true,
        format: "esm",
        target: "es2022",
        plugins: [lazily],
        banner: { js: `/*! lingstream ${version} | Apache-2.0 */` },
        logLevel: "warning",
        write: false,
    });
    const compress = { passes: 3, hoist_funs: true, inline: 1, unsafe_arrows: true, pure_getters: true };
    const { code } = await minify(outputFiles[0].text, { module: true, ecma: 2022, compress });
    writeFileSync(outfile, `${code}\n`);
}

await bundle("index", join(target, "lingstream.min.js"));
for (const name of LATER) await bundle(name, join(target, `${name}.min.js`));

const options = ["--allowJs", "--declaration", "--emitDeclarationOnly", "--module", "nodenext", "--target", "es2022"];
const entries = ENTRIES.map((name) => join(CLIENT, name));
execFileSync(join(HERE, "node_modules/.bin/tsc"), [...options, "--outDir", join(target, "types"), ...entries], {
    stdio: "inherit",
});
