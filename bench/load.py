"""A client that reads many streams at once and measures how old each token is when it arrives.

It looks for the stamps of ``bench/model.py`` in the bytes that come, whatever they are wrapped in, and reads
the CPU clocks of the processes that it is told of at both ends of its window. One epoll loop and no parser:
about 10 µs per token.
"""

from __future__ import annotations

import gc
import http.client
import json
import math
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from panel import trials

__all__ = [
    "Result",
    "Spec",
    "Stopped",
    "connections",
    "cpu_seconds",
    "look",
    "measure",
    "measure_apart",
    "stop",
]

STAMP = re.compile(rb"([0-9a-f]{8}) ")
STAMP_BYTES = 9
WRAP = 0xFFFFFFFF  # where the stamps begin anew
CHARACTER = re.compile(rb'"delta":"(.)"')
SETTLE = 1.0  # seconds between the first token of the last stream and the window: what starts cost is over
PATIENCE = 15.0
ENDING = 60.0  # seconds in which all streams end, of a server that has a backlog too
STOPPING = 1.0  # seconds between two ends of all streams: of runs too that begin late
BODY = json.dumps({"input": {"question": "What time is it?"}})
START = json.dumps({"type": "start", "workflow": "clock", "input": {"question": "What time is it?"}})
SOCKET = "/ws/ling/"


@dataclass(frozen=True)
class Spec:
    """What to measure.

    :param transport: ``get``, ``post`` (lingstream's SSE), ``socket`` (its WebSocket), ``trial`` (the admin's
        panel: trials of the form at ``path``, followed over WebSocket), ``follow`` (SSE, all streams of one
        run) or ``ling`` (Ling's SSE).
    :param pids: processes whose CPU time counts, by name.
    :param more_ports: more servers, which the streams take in turn.
    :param redis_port: a Redis whose commands are counted.
    :param patience: seconds in which all streams begin.
    :param pause: seconds between the openings of two streams.
    """

    transport: str
    path: str
    port: int
    model_port: int
    streams: int
    seconds: float
    pids: Mapping[str, int]
    more_ports: Sequence[int] = ()
    redis_port: int = 0
    patience: float = PATIENCE
    pause: float = 0.0


@dataclass(frozen=True)
class Result:
    """What came of it, inside the window.

    :param p50: added latency in milliseconds; ``p99`` likewise.
    :param cpu: CPU seconds of each process, and of the client itself.
    :param seconds: the window's length.
    :param silent: streams that did not begin in time; the server is overloaded.
    :param lost: tokens of the whole measurement that the model sent and no client got.
    :param last: age in milliseconds of the last token of all, the oldest of the streams.
    :param commands: calls of each Redis command.
    """

    tokens: int
    p50: float
    p99: float
    cpu: Mapping[str, float]
    seconds: float
    silent: int
    lost: int
    last: float = 0.0
    commands: Mapping[str, int] = field(default_factory=dict)


def measure_apart(spec: Spec) -> Result:
    """Measure in a process of its own."""
    answer = subprocess.run(
        [sys.executable, Path(__file__), json.dumps(asdict(spec))],
        capture_output=True,
        check=False,
        text=True,
    )
    if answer.returncode:
        raise RuntimeError(f"the load client failed at {spec}:\n{answer.stderr}")
    return Result(**json.loads(answer.stdout))


def measure(spec: Spec) -> Result:
    """Open the streams, measure, and read them to their end."""
    kind = LingReader if spec.transport == "ling" else Reader
    readers = {client.fileno(): kind(client) for client in connections(spec)}
    known = list(readers.values())
    epoll = select.epoll()
    for handle in readers:
        epoll.register(handle, select.EPOLLIN)
    deadline = time.monotonic() + spec.patience
    while (silent := sum(not reader.tokens for reader in readers.values())) and time.monotonic() < deadline:
        _read(epoll, readers, deadline)
    if silent == len(readers):
        raise TimeoutError(f"no stream began, got {next(iter(readers.values())).tail!r}")
    _read_until(epoll, readers, time.monotonic() + SETTLE)
    for reader in readers.values():
        reader.ages.clear()
    commands = _commands(spec)
    before, began = _cpu(spec.pids), time.monotonic()
    _read_until(epoll, readers, began + spec.seconds)
    after, seconds = _cpu(spec.pids), time.monotonic() - began
    commands = {name: count - commands.get(name, 0) for name, count in _commands(spec).items()}
    ages = sorted(age for reader in readers.values() for age in reader.ages)
    lost = _finish(spec, epoll, readers)
    return Result(
        tokens=len(ages),
        p50=ages[len(ages) // 2] / 1e3 if ages else math.nan,
        p99=ages[len(ages) * 99 // 100] / 1e3 if ages else math.nan,
        cpu={name: after[name] - before[name] for name in after},
        seconds=seconds,
        silent=silent,
        lost=lost,
        last=max(reader.ages[-1] for reader in known if reader.ages) / 1e3,
        commands=commands,
    )


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, all threads, those that have ended too."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's name of another process's CPU clock


@dataclass(frozen=True)
class Stopped:
    """What the model tells of its streams.

    :param tokens: sent since they were ended the last time.
    :param streams: how many there are, or were when they were ended.
    """

    tokens: int
    streams: int


def stop(model_port: int) -> Stopped:
    """End all streams of the model."""
    return _ask(model_port, "stop")


def look(model_port: int) -> Stopped:
    """Return what :func:`stop` would, and end nothing."""
    return _ask(model_port, "look")


def _ask(model_port: int, what: str) -> Stopped:
    with socket.create_connection(("127.0.0.1", model_port)) as stopper:
        stopper.sendall(f"POST /{what} HTTP/1.1\r\n\r\n".encode())
        return Stopped(**json.loads(stopper.makefile("rb").read().partition(b"\r\n\r\n")[2]))


class Reader:
    """One stream."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.tokens = 0
        self.latest: int | None = None
        self.ages: list[int] = []
        self.tail = b""

    def read(self) -> bool:
        """Read what is there; return false at the end."""
        received = self.client.recv(262_144)
        now = time.monotonic_ns() // 1000
        data = self.tail + self.text(received)
        end = 0
        for match in STAMP.finditer(data):
            stamp = int(match[1], 16)
            end = match.end()
            # Who fell behind gets a snapshot, and with it what it has already.
            if self.latest is None or 0 < (stamp - self.latest) & WRAP <= WRAP // 2:
                self.latest = stamp
                self.ages.append((now - stamp) & WRAP)
                self.tokens += 1
        over = not received or b'"done":' in data or received.endswith(b"\r\n0\r\n\r\n")
        self.tail = data[max(end, len(data) - STAMP_BYTES + 1) :]
        return not over

    def text(self, received: bytes) -> bytes:
        """Return the part of ``received`` that may hold stamps."""
        return received


class LingReader(Reader):
    """One stream of Ling's server, which sends each character as an event of its own."""

    rest = b""

    def text(self, received: bytes) -> bytes:
        """Return the characters, and at the end what :class:`Reader` takes for an end."""
        events, _, self.rest = (self.rest + received).rpartition(b"\n\n")
        return b"".join(CHARACTER.findall(events)) + b'"done":' * (b'"event":"finished"' in events)


def _finish(spec: Spec, epoll: select.epoll, readers: dict[int, Reader]) -> int:
    """Let the model stop, read to the end, and return how many tokens are missing."""
    known = list(readers.values())
    sent = 0
    deadline = time.monotonic() + ENDING
    while readers and time.monotonic() < deadline:
        sent += stop(spec.model_port).tokens
        until = time.monotonic() + STOPPING
        while readers and time.monotonic() < until:
            _read(epoll, readers, until)
    sent += stop(spec.model_port).tokens
    copies = spec.streams if spec.transport == "follow" else 1
    return sent * copies - sum(reader.tokens for reader in known)


def _read_until(epoll: select.epoll, readers: dict[int, Reader], moment: float) -> None:
    while time.monotonic() < moment:
        _read(epoll, readers, moment)


def _read(epoll: select.epoll, readers: dict[int, Reader], until: float) -> None:
    for handle, _ in epoll.poll(max(0.0, min(until - time.monotonic(), 0.1))):
        if not readers[handle].read():
            epoll.unregister(handle)
            readers.pop(handle).client.close()


def connections(spec: Spec) -> Iterator[socket.socket]:
    """Open the streams; each is to be read from its beginning."""
    if spec.transport == "trial":
        for trial in trials(spec.port, spec.path, spec.streams, json.loads(BODY)["input"]):
            told = {"type": "subscribe", "run": trial.run, "token": trial.token}
            yield _socket(replace(spec, path=SOCKET), json.dumps(told), {"Cookie": trial.cookie})
        return
    ports = [spec.port, *spec.more_ports]
    path = _run(spec) if spec.transport == "follow" else spec.path
    for number in range(spec.streams):
        time.sleep(spec.pause)
        yield _connect(replace(spec, path=path, port=ports[number % len(ports)]))


def _run(spec: Spec) -> str:
    """Start a run that many shall follow; return where its events are."""
    client = http.client.HTTPConnection("127.0.0.1", spec.port, timeout=PATIENCE)
    client.request(
        "POST", spec.path, BODY, {"Content-Type": "application/json", "Accept": "application/json"}
    )
    started = json.load(client.getresponse())
    client.close()
    return f"{started['events']}?token={quote(started['share'])}"


def _connect(spec: Spec) -> socket.socket:
    if spec.transport == "socket":
        return _socket(spec, START)
    client, head = _opened(spec)
    head["Accept"] = "text/event-stream"
    head["Connection"] = "close"
    body = BODY if spec.transport == "post" else ""
    if body:
        head |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    client.sendall(_request("POST" if body else "GET", spec.path, head) + body.encode())
    return client


def _opened(spec: Spec) -> tuple[socket.socket, dict[str, str]]:
    """A connection, and what each request on it begins with."""
    client = socket.create_connection(("127.0.0.1", spec.port), PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, {"Host": f"127.0.0.1:{spec.port}"}


def _socket(spec: Spec, first: str, more: Mapping[str, str] | None = None) -> socket.socket:
    """A WebSocket on which ``first`` has been sent."""
    client, head = _opened(spec)
    head |= more or {}
    head |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    head |= {"Sec-WebSocket-Key": "bGluZ3N0cmVhbSBiZW5jaA==", "Origin": f"http://127.0.0.1:{spec.port}"}
    client.sendall(_request("GET", spec.path, head))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    if b" 101 " not in answer:
        raise ConnectionError(f"expected 101, got {answer!r}")
    # A client masks what it sends; the mask 0 changes nothing.
    size = len(first)
    told = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    client.sendall(bytes([0x81]) + told + bytes(4) + first.encode())
    return client


def _request(method: str, path: str, head: Mapping[str, str]) -> bytes:
    lines: Iterable[str] = (f"{name}: {value}" for name, value in head.items())
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()} | {"client": time.process_time()}


def _commands(spec: Spec) -> dict[str, int]:
    """Calls of each command that Redis counts."""
    if not spec.redis_port:
        return {}
    with socket.create_connection(("127.0.0.1", spec.redis_port)) as client:
        client.sendall(b"INFO commandstats\r\nQUIT\r\n")
        text = client.makefile("rb").read().decode()
    return {name: int(calls) for name, calls in re.findall(r"cmdstat_(\S+?):calls=(\d+)", text)}


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(asdict(measure(Spec(**json.loads(sys.argv[1]))))))
