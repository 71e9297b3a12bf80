"""The Markdown module as it is shipped: how large it is, and whose parser it brings."""

from __future__ import annotations

import filecmp
import gzip
import subprocess
from pathlib import Path

import pytest

from tests.chaos.patience import scaled
from tests.node import node, peers

CLIENT = Path(__file__).resolve().parents[2] / "lingstream" / "static" / "lingstream"
LARGEST = 7 * 1024
BUILD = """
    import { build } from "esbuild";
    const options = { bundle: true, minify: true, format: "esm", external: ["./nodes.js"], write: false };
    const { outputFiles } = await build({ entryPoints: [process.argv[1]], ...options });
    process.stdout.write(outputFiles[0].contents);
"""


def test_weighs_little() -> None:
    """Beside `index.js`, which has nodes.js."""
    command = [node(), "--input-type=module", "--eval", BUILD, str(CLIENT / "markdown.js")]
    bundle = subprocess.run(command, cwd=peers(), capture_output=True, timeout=scaled(60), check=True).stdout
    assert b"nodes.js" in bundle
    assert 1024 < len(gzip.compress(bundle, 9)) <= LARGEST


@pytest.mark.parametrize("name", ["smd.js", "license"])
def test_brings_the_parser_as_it_is_on_npm(name: str) -> None:
    vendored = CLIENT / "vendor" / "streaming-markdown" / name
    assert filecmp.cmp(vendored, peers() / "node_modules" / "streaming-markdown" / name, shallow=False)
