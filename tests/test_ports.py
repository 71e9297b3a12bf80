"""Ports of tests: two runs of the suite on one machine do not meet at one."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .ports import PORTS, free_port

ROOT = Path(__file__).resolve().parents[1]


def test_a_port_is_none_that_a_connection_gets_by_itself() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
    ):
        assert ours.getsockname()[1] not in PORTS
    assert free_port() in PORTS


@pytest.mark.skipif(sys.platform != "linux", reason="reserved on Linux only")
def test_what_one_process_was_given_no_other_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = "import sys; from tests import ports; ports.PORTS = range(int(sys.argv[1]), int(sys.argv[2])); "
    mine = free_port()
    command = [sys.executable, "-c", f"{ask}print(ports.free_port())", str(mine), str(mine + 50)]
    given = {int(subprocess.check_output(command, cwd=ROOT)) for _ in range(3)}
    assert given and mine not in given
    only = subprocess.run(
        [*command[:-1], str(mine + 1)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "expected a free port" in only.stderr
