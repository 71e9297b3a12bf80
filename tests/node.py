"""Node for the tests: the one that tests/requirements.txt brings, so that no machine has to have it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

__all__ = ["node", "peers"]

PEERS = Path(__file__).parent / "peers"
BIN = Path(sys.executable).parent


def node() -> str:
    """Return the path of Node."""
    return str(BIN / "node")


@lru_cache(maxsize=1)
def peers() -> Path:
    """Return the folder of the npm peers, with what its package.json names installed."""
    wanted = json.loads((PEERS / "package.json").read_text())["dependencies"]
    if not all((PEERS / "node_modules" / name).exists() for name in wanted):
        command = [str(BIN / "npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=PEERS, check=True)
    return PEERS
