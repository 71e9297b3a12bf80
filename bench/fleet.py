"""A site of many processes that can be hurt: workers, web, PostgreSQL, Redis, a model that counts."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from load import cpu_seconds
from processes import end, listens
from servers import COMMANDS, OURS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.chaos.patience import scaled  # noqa: E402
from tests.chaos.services import Postgres  # noqa: E402
from tests.hubs.conftest import RedisServer  # noqa: E402
from tests.ports import free_port  # noqa: E402

__all__ = ["Fleet", "Member"]

# Each statement is a line with who sent it and what kind it was: what the bench asks itself is told apart,
# and the figures survive a restart, which the server's own statistics do not.
LOGGING = {
    "log_duration": "on",
    "log_connections": "on",
    "log_line_prefix": "%u|%p|%i|",
    "track_commit_timestamp": "on",
    "max_connections": 300,
}
ROLES = ("worker", "web", "observer")
PATIENCE = 60.0  # seconds that anything may take on an idle machine


class Member:
    """A process of the site, and what has been done to it.

    :ivar since: moment from which its silence counts; ``inf`` while it can say nothing.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.since = time.monotonic()
        self.cpu = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs, and nobody has told it to end."""
        return self.process.poll() is None and self.since < float("inf")

    def look(self) -> None:
        """Read its CPU clock, which goes when it does."""
        with contextlib.suppress(OSError):
            self.cpu = cpu_seconds(self.pid)

    def kill(self) -> None:
        """kill -9."""
        self.look()
        self.since = float("inf")
        self.process.kill()
        self.process.wait()

    def terminate(self) -> str:
        """SIGTERM; return what was wrong with its end, if anything was."""
        begun = time.monotonic()
        self.since = float("inf")
        self.process.terminate()
        while self.process.poll() is None and time.monotonic() < begun + scaled(PATIENCE):
            self.look()
            time.sleep(0.05)
        took = f"{self.log.stem}, {time.monotonic() - begun:.0f} s after it was told to end"
        if self.process.poll() is None:
            for number in (signal.SIGUSR1, signal.SIGABRT):  # it says where it hangs
                self.process.send_signal(number)
                time.sleep(2)
            self.kill()
            return f"{took}, still ran:\n{self.log.read_text(errors='replace')}"
        if code := self.process.returncode:
            return f"{took}, ended with {code}:\n{self.log.read_text(errors='replace')}"
        return ""

    def freeze(self) -> None:
        """SIGSTOP."""
        self.since = float("inf")
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)
        self.since = time.monotonic()


class Fleet:
    """Starts all of it and ends all of it.

    :param logs: a folder to keep what the processes say in.
    :param settings: changes to ``LINGSTREAM``.
    """

    def __init__(
        self, bots: int, deltas: int, seconds: float, logs: Path | None = None, **settings: object
    ) -> None:
        self._shape = [str(bots), str(deltas), str(seconds)]
        self._logs = logs
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self.workers: list[Member] = []
        self.members: list[Member] = []

    def __enter__(self) -> Fleet:
        with self._stack:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lingstream-")))
            self.logs = self._logs or self.folder
            self.logs.mkdir(parents=True, exist_ok=True)
            self.postgres = Postgres(**LOGGING)
            self._stack.callback(self.postgres.close)
            self.postgres.start()
            for role in ROLES:
                self.postgres.rows(f"CREATE ROLE {role} SUPERUSER LOGIN")
            self.redis = RedisServer(self.folder)
            self._stack.callback(self.redis.stop)
            self.redis.start()
            self.model_port = free_port()
            model = self.start("model", "bench/calls.py", *self._shape, str(self.model_port))
            self._listens(model, self.model_port)
            self._run("-m", "bench.project.prepare")
            self.web_port = free_port()
            web = self.start("web", "-m", *COMMANDS["uvicorn"], str(self.web_port), f"{OURS}:application")
            self._listens(web, self.web_port)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def work(self, count: int = 1, concurrency: int = 200, ahead: float = 0.0) -> list[Member]:
        """Start workers and wait until they look for runs.

        :param ahead: seconds by which their clock is wrong.
        """
        more = {"LD_PRELOAD": self._wrong_clock(), "CLOCK_AHEAD": f"{ahead:.0f}"} if ahead else {}
        arguments = ["manage.py", "ling_worker", "--concurrency", str(concurrency)]
        started = [self.start("worker", *arguments, **more) for _ in range(count)]
        for member in started:
            _says(member, "takes up to")
        self.workers += started
        return started

    def start(self, name: str, *arguments: str, **environment: str) -> Member:
        """Start a Python process."""
        log = self.logs / f"{name}-{len(self.members)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self._environment(name) | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        member = Member(name, process, log)
        self.members.append(member)
        self._stack.callback(end, process)
        self._stack.callback(process.send_signal, signal.SIGCONT)
        return member

    def enqueue(self, names: list[str]) -> None:
        """Store runs that wait for a worker."""
        if names:
            self._run("-m", "bench.project.enqueue", *names)

    def calls(self) -> list[tuple[str, float, float | None]]:
        """Each call of the model: its name, when it was asked, and when it was answered."""
        client = http.client.HTTPConnection("127.0.0.1", self.model_port, timeout=scaled(PATIENCE))
        with contextlib.closing(client):
            client.request("GET", "/calls")
            return [(name, asked, answered) for name, asked, answered in json.load(client.getresponse())]

    def _wrong_clock(self) -> str:
        """Compile what a process preloads to have another date."""
        library = self.folder / "clock.so"
        if not library.exists():
            source = str(ROOT / "bench/clock.c")
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), source], check=True)
        return str(library)

    def _run(self, *arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self._environment("postgres"), check=True)

    def _listens(self, member: Member, port: int) -> None:
        if not listens(port, member.process, scaled(PATIENCE)):
            raise RuntimeError(f"{member.name} does not listen:\n{member.log.read_text()}")

    def _environment(self, role: str) -> dict[str, str]:
        hub = {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": {"url": self.redis.url}}
        work: dict[str, Any] = {"EXECUTION": "worker", "BROKER": "bench.project.queue.broker"}
        return os.environ | {
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "DJANGO_SETTINGS_MODULE": "bench.project.many",
            "BENCH_MODEL": f"http://127.0.0.1:{self.model_port}/v1",
            "BENCH_KEY": "bench",
            "BENCH_DATABASE": "postgres",
            "BENCH_USER": role,
            "BENCH_POSTGRES": str(self.postgres.port),
            "BENCH_REDIS": self.redis.url,
            "BENCH_LINGSTREAM": json.dumps(hub | work | self._settings),
        }


def _says(member: Member, text: str) -> None:
    deadline = time.monotonic() + scaled(PATIENCE)
    while text not in member.log.read_text():
        if member.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{member.name} did not say {text!r}:\n{member.log.read_text()}")
        time.sleep(0.05)
