"""The client as a package of npm, and what is made of its modules."""

from __future__ import annotations

import filecmp
import gzip
import json
import re
import subprocess
import tarfile
import tomllib
import zlib
from pathlib import Path

import pytest

from tests.chaos.patience import scaled
from tests.node import node, peers

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "lingstream" / "static" / "lingstream"
KILOBYTE = 1024


def call(*command: str, folder: Path = CLIENT) -> str:
    """What a program of npm says; it runs with the tests' own Node."""
    environment = {"PATH": f"{Path(node()).parent}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=scaled(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    return str(peers() / "node_modules" / ".bin" / name)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What npm would publish."""
    folder = tmp_path_factory.mktemp("packed")
    npm = Path(node()).with_name("npm")
    answer = call(str(npm), "pack", "--json", "--pack-destination", str(folder), str(CLIENT), folder=folder)
    return folder / str(json.loads(answer)[0]["filename"])


@pytest.fixture(scope="module")
def installed(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has the package among its modules."""
    project = tmp_path_factory.mktemp("project")
    (project / "package.json").write_text('{"type": "module"}')
    with tarfile.open(packed) as archive:
        archive.extractall(project / "unpacked", filter="data")
    (project / "node_modules").mkdir()
    (project / "unpacked" / "package").rename(project / "node_modules" / "lingstream")
    return project


def test_its_version_and_licence_are_the_wheels() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (package["version"], package["license"]) == (project["version"], project["license"])
    assert filecmp.cmp(CLIENT / "LICENSE", ROOT / "LICENSE", shallow=False)


def test_what_is_made_of_the_modules_is_up_to_date(tmp_path: Path) -> None:
    call(node(), str(peers() / "build_client.mjs"), str(tmp_path))
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    committed = [*(CLIENT / "types").rglob("*.ts"), *CLIENT.glob("*.min.js")]
    assert made == sorted(path.relative_to(CLIENT) for path in committed)
    differing = filecmp.cmpfiles(tmp_path, CLIENT, [str(path) for path in made], shallow=False)[1:]
    assert differing == ([], []), "run `make client`"


def test_publint_has_no_complaint(packed: Path) -> None:
    assert "All good!" in call(tool("publint"), "--strict", str(packed))


def test_types_and_modules_are_found_by_every_resolver_of_modules(packed: Path) -> None:
    call(tool("attw"), str(packed), "--profile", "esm-only", "--no-emoji", "--format", "ascii")


def test_it_has_each_file_that_it_names_and_no_admin(installed: Path) -> None:
    folder = installed / "node_modules" / "lingstream"
    package = json.loads((folder / "package.json").read_text())
    named = re.findall(r'"(\./[^"*]+)"', json.dumps([package["exports"], package["sideEffects"]]))
    assert [name for name in named if "." in name[2:] and not (folder / name).is_file()] == []
    assert not (folder / "admin").exists()
    assert (folder / "LICENSE").is_file()


def test_node_imports_it_without_a_page(installed: Path) -> None:
    script = """
        import { Client, Run, fold } from "lingstream";
        import { checksum } from "lingstream/checksum";
        new Client({ base: "https://example.com/ling/" });
        console.log(typeof Run, JSON.stringify(fold(null, { uri: "", value: [1] })), checksum([1]));
    """
    expected = f"function [1] {zlib.crc32(b'[1]')}\n"
    assert call(node(), "--input-type=module", "--eval", script, folder=installed) == expected


def test_typescript_knows_the_document_of_a_run(installed: Path) -> None:
    (installed / "answers.ts").write_text("""
        import { Client, type Run } from "lingstream";
        type Answer = { answer: string; hits: { id: number }[] };
        type Is<A> = <T>() => T extends A ? 1 : 2;
        type Same<A, B> = Is<A> extends Is<B> ? true : false;

        const base = "https://example.com/ling/";
        const client = new Client({ base, fetch: (...asked) => fetch(...asked) });
        const run = client.start<Answer>("cloud-facts", { question: "Can I lie on a cloud?" });
        const alike: [
            Same<typeof run, Run<Answer>>,
            Same<typeof run.document, Answer | null>,
            Same<ReturnType<typeof run.snapshot>, Answer | null>,
            Same<Awaited<typeof run.finished>, Run<Answer>>,
        ] = [true, true, true, true];
        const ids: number[] = client.subscribe<Answer>("1").document?.hits.map(({ id }) => id) ?? [];
        const any: Run = run;  // a function that takes any run takes this one
        const told: Same<typeof any.document, unknown> = true;
        // @ts-expect-error there is no such field
        run.document?.reply;
        // @ts-expect-error without the type nothing is known
        client.start("cloud-facts", {}).document.answer;
        console.log(alike, ids, told);
    """)
    (installed / "page.ts").write_text("""
        import type { LingStreamElement } from "lingstream";
        import { Markdown } from "lingstream/markdown";
        import "lingstream/chat";
        const element = document.querySelector<LingStreamElement>("ling-stream");
        const answer: string | undefined = element?.start<{ answer: string }>({}).document?.answer;
        console.log(answer, Markdown);
    """)
    strict = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable"]
    call(tool("tsc"), *strict, "--module", "nodenext", "answers.ts", folder=installed)
    bundled = ["--module", "esnext", "--moduleResolution", "bundler", "--customConditions", "browser"]
    call(tool("tsc"), *strict, *bundled, "page.ts", folder=installed)


def test_its_core_is_small(tmp_path: Path) -> None:
    made = tmp_path / "core.js"
    bundle = [
        "--bundle",
        "--minify",
        "--format=esm",
        "--external:./checksum.js",
        "--external:./conversations.js",
        "--external:./feed.js",
        "--external:./iteration.js",
        f"--outfile={made}",
    ]
    call(tool("esbuild"), str(CLIENT / "core.js"), *bundle, "--log-level=warning")
    assert len(gzip.compress(made.read_bytes(), 9)) <= 8 * KILOBYTE


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("lingstream", 16),
        ("markdown", 7),
        ("conversations", 4.5),
        ("feed", 3),
        ("rare", 5),
        ("announcer", 2),
        ("checksum", 1),
        ("chat", 10),
        ("iteration", 2),
        ("forms", 2),
        ("commands", 1),
        ("cite", 2.5),
        ("source-note", 2),
    ],
)
def test_each_minified_file_is_small(name: str, most: float) -> None:
    assert len(gzip.compress((CLIENT / f"{name}.min.js").read_bytes(), 9)) <= most * KILOBYTE
