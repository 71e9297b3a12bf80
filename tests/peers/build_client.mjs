// Makes what of the client is made: the minified files, and the types. `node build_client.mjs [FOLDER]`

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const CLIENT = join(HERE, "../../lingstream/static/lingstream");
const ENTRIES = ["index.js", "core.js", "markdown.js"];
const LATER = ["announcer", "commands", "feed", "forms", "iteration", "markdown", "rare"];
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

for (const [name, made] of [["index", "lingstream"], ...LATER.map((name) => [name])]) {
    await build({
        entryPoints: [join(CLIENT, `${name}.js`)],
        outfile: join(target, `${made ?? name}.min.js`),
        bundle: true,
        minify: true,
        format: "esm",
        target: "es2022",
        plugins: [lazily],
        banner: { js: `/*! lingstream ${version} | Apache-2.0 */` },
        logLevel: "warning",
    });
}

const options = ["--allowJs", "--declaration", "--emitDeclarationOnly", "--module", "nodenext", "--target", "es2022"];
const entries = ENTRIES.map((name) => join(CLIENT, name));
execFileSync(join(HERE, "node_modules/.bin/tsc"), [...options, "--outDir", join(target, "types"), ...entries], {
    stdio: "inherit",
});
