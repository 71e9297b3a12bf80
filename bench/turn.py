"""What one turn of a server costs, from a packet of a model to its viewers: ``python bench/turn.py``.

This process plays the model and the viewers of a server: it sends one packet, and the next one when all
viewers have what was in it. What counts is the CPU time of the server's process from one to the next. So no
model's pace and nobody's interval has a part in it, and what else the machine does makes it only dearer.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from load import Spec, connections, cpu_seconds
from model import AFTER, BEFORE, FIRST, body_length
from processes import end, listens
from servers import COMMANDS, OURS, ROOT

from tests.ports import free_port

STREAMS = 40
PATIENCE = 60.0


@dataclass(frozen=True)
class Row:
    """What is measured.

    :param together: tokens in a packet.
    :param viewers: of one run; 0 for many runs with a viewer each.
    """

    name: str
    application: str
    transport: str
    path: str
    together: int = 1
    viewers: int = 0


PROXY = Row("bare socket proxy", "bench.peers.socket_proxy", "get", "/")
SSE = Row("lingstream SSE", OURS, "post", "/ling/workflows/clock/runs/")
WEB_SOCKET = Row("lingstream WebSocket", OURS, "socket", "/ws/ling/")
FAN_OUT = Row("bare fan-out, one run", "bench.peers.fan_out", "get", "/")
FOLLOWED = replace(SSE, name="lingstream SSE, one run", transport="follow")
ROWS = (
    *(replace(row, together=tokens) for row in (PROXY, SSE, WEB_SOCKET) for tokens in (1, 2, 3, 4)),
    *(replace(row, viewers=viewers) for row in (FAN_OUT, FOLLOWED) for viewers in (1, 11, 101)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packets", type=int, default=400, help="how many are measured in each row")
    parser.add_argument("--only", default="", help="part of a row's name")
    options = parser.parse_args(arguments)
    print(
        "| what | tokens in a packet | viewers | µs a packet: least tenth | median |\n|---|--:|--:|--:|--:|"
    )
    for row in ROWS:
        if options.only in row.name:
            costs = _costs(row, options.packets)
            least, middle = costs[len(costs) // 10], median(costs)
            print(
                f"| {row.name} | {row.together} | {row.viewers or 1} | {least:.0f} | {middle:.0f} |",
                flush=True,
            )


def _costs(row: Row, packets: int) -> list[float]:
    """Microseconds for each packet of a row, in order."""
    outside = Outside(row)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "BENCH_MODEL": f"http://127.0.0.1:{outside.port}/v1",
            "BENCH_KEY": "bench",
            "BENCH_DATABASE": str(Path(folder) / "bench.sqlite3"),
            # Each packet as it comes.
            "BENCH_LINGSTREAM": json.dumps({"FRAME_INTERVAL": 0, "FRAME_INTERVAL_BUSY": 0}),
        }
        port, run = free_port(), [sys.executable, "-m"]
        subprocess.run([*run, "bench.project.prepare"], cwd=ROOT, env=environment, check=True)
        command = [*run, *COMMANDS["uvicorn"], str(port), f"{row.application}:application"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        try:
            if not listens(port, server):
                sys.exit(f"no server of {row.application}")
            return sorted(outside.measure(port, packets, server.pid))
        finally:
            end(server)


class Outside:
    """The model and the viewers."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=STREAMS)
        self.port = self._listener.getsockname()[1]
        """Of the model."""
        self._models: list[socket.socket] = []
        self._viewers: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._sent = 0

    def measure(self, port: int, packets: int, pid: int) -> list[float]:
        """Return the microseconds of CPU that each packet costs the server, process ``pid`` at ``port``."""
        self._open(port)
        marks = []
        for _ in range(packets + 1):
            marks.append(cpu_seconds(pid))
            self._pass_on()
        return [(after - before) * 1e6 for before, after in pairwise(marks)]

    def _open(self, port: int) -> None:
        """Open all streams, and wait until each has begun."""
        row = self._row
        model = threading.Thread(target=self._answer, args=(1 if row.viewers else STREAMS,), daemon=True)
        model.start()
        spec = Spec(row.transport, row.path, port, self.port, row.viewers or STREAMS, 0.0, {})
        self._viewers = {viewer.fileno(): viewer for viewer in connections(spec)}
        for viewer in self._viewers.values():
            viewer.recv(1, socket.MSG_PEEK)  # who is answered is there for the first packet
        model.join()
        for handle in self._viewers:
            self._epoll.register(handle, select.EPOLLIN)
        for _ in self._models:
            self._pass_on()

    def _pass_on(self) -> None:
        """Send the next packet, and return when all who should have it do."""
        model = self._models[self._sent % len(self._models)]
        tokens = range(self._sent * self._row.together, (self._sent + 1) * self._row.together)
        self._sent += 1
        model.sendall(b"".join([b"%b%08x%b" % (BEFORE, token, AFTER) for token in tokens]))
        last, missing = b"%08x " % tokens[-1], self._row.viewers or 1
        while missing:
            if not (ready := self._epoll.poll(PATIENCE)):
                raise TimeoutError(f"{missing} viewers did not get token {tokens[-1]}")
            for handle, _ in ready:
                missing -= last in self._viewers[handle].recv(65_536)

    def _answer(self, count: int) -> None:
        while len(self._models) < count:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head, end, body = b"", b"", b""
            while not end or len(body) < body_length(head):
                head, end, body = (head + end + body + client.recv(65_536)).partition(b"\r\n\r\n")
            client.sendall(FIRST)
            self._models.append(client)


if __name__ == "__main__":
    main()
