"""The sockets below httpx, as plain asyncio protocols.

httpcore's own backend makes a cancel scope, a timer and two ``epoll_ctl`` calls for every read, and a model's
stream is thousands of tiny reads (figures in ``docs/providers.md``). The head of an answer is never given out
together with bytes of the body, so that :mod:`.bodies` may read the body from here.
"""

# ruff: noqa: ASYNC109  # httpcore's signatures

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Any, cast

import httpcore2

from .network import guard

__all__ = ["AsyncioBackend", "Connection", "SocketStream"]

HIGH_WATER = 256 * 1024
HEAD_START = 0.25  # seconds for one address before the next is tried beside it (RFC 8305)
HAPPY_EYEBALLS = {"happy_eyeballs_delay": HEAD_START}
BLANK_LINE = re.compile(rb"\n\r?\n")  # the end of a head, as h11 looks for it
LONGEST_PART = 2  # bytes of an end of which the rest is still to come


class AsyncioBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections for a connection pool of httpcore, on asyncio and uvloop.

    :param guarded: only to where the site's guard lets us; an operator's proxy is not asked about.
    """

    def __init__(self, *, guarded: bool = True) -> None:
        self._guarded = guarded

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect; ``timeout`` in seconds.

        :raises httpcore2.ConnectTimeout: it took longer.
        :raises httpcore2.ConnectError: nobody answered.
        :raises AddressRefused: the host is not public.
        """
        try:
            async with asyncio.timeout(timeout):
                return SocketStream(await _connect(host, port, self._guarded))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(_reason(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


class SocketStream(httpcore2.AsyncNetworkStream):
    """One connection. ``at_body``: a head has been given out, and nothing of what follows it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.at_body = False
        self._in_head = False
        self._last = b""  # of the head

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come: until the end of a head, all of it afterwards."""
        # Even past max_bytes: httpcore asks for 64 KiB and takes any amount.
        connection = self.connection
        if not connection.readable:
            try:
                await connection.arrival(timeout)
            except TimeoutError as error:
                raise httpcore2.ReadTimeout("no data in time") from error
        if connection.error and not connection.received:
            raise httpcore2.ReadError(str(connection.error)) from connection.error
        self.at_body = False
        return self._head_of(connection.take()) if self._in_head else connection.take()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._in_head, self._last = True, b""
        try:
            async with asyncio.timeout(timeout):
                await self.connection.write(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout("not sent in time") from error
        except ConnectionError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        # abort, not close: closing TLS politely waits for the peer, and a model talks until it is hung up on.
        self.connection.transport.abort()
        await asyncio.shield(self.connection.lost)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self.connection.start_tls(ssl_context, server_hostname)
        except TimeoutError as error:
            await self.aclose()
            raise httpcore2.ConnectTimeout("no TLS handshake in time") from error
        except OSError as error:  # of which ssl.SSLError is one
            await self.aclose()
            raise httpcore2.ConnectError(str(error)) from error
        except BaseException:
            await self.aclose()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self.connection.readable
        return self.connection.transport.get_extra_info(info)

    def _head_of(self, data: bytes) -> bytes:
        known = len(self._last)
        found = BLANK_LINE.search(self._last + data)
        if found is None:
            self._last = (self._last + data)[-LONGEST_PART:]
            return data
        self._in_head, self.at_body = False, True
        end = found.end() - known
        self.connection.put_back(data[end:])
        return data[:end]


class Connection(asyncio.Protocol):
    """Collects what comes; with 256 KiB unread the socket rests until the reader has caught up."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.error: Exception | None = None
        # Kept: for each packet it would be asked whether the process has forked meanwhile.
        self._loop = asyncio.get_running_loop()
        self.lost = self._loop.create_future()
        self._over = False
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._gathering: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def readable(self) -> bool:
        """Whether a read would return at once, be it with the end."""
        return bool(self.received) or self._over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and self.transport.is_reading():
            self.transport.pause_reading()
            _release(self._gathering)
        _release(self._reader)

    def eof_received(self) -> None:
        self._over = True
        _release(self._gathering)
        _release(self._reader)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        _release(self._drained)
        self._drained = None

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self.error = error
        _release(self._gathering)
        _release(self._reader)
        self.resume_writing()
        if self._alarm:
            self._alarm.cancel()
        _release(self.lost)

    def take(self) -> bytes:
        """Return all that has come, ``b""`` at the end."""
        data = self.received[0] if len(self.received) == 1 else b"".join(self.received)
        self.received.clear()
        if self._size > HIGH_WATER and not self._over and not self.transport.is_reading():
            self.transport.resume_reading()
        self._size = 0
        return data

    def put_back(self, data: bytes) -> None:
        """Have ``data`` taken once more, before what has come since."""
        if data:
            self.received.insert(0, data)
            self._size += len(data)

    def arrival(self, timeout: float | None) -> asyncio.Future[None]:
        """Return what is done once it is readable, for one who waits; it is not now.

        It has a ``TimeoutError`` where nothing came for ``timeout`` seconds.
        """
        self._reader = self._loop.create_future()
        if timeout is not None:
            self._deadline = self._loop.time() + timeout
            # Of two calls that differ in their timeout, the earlier alarm must ring first.
            if self._alarm is None or self._alarm.when() > self._deadline:
                self._set_alarm()
        else:
            self._deadline = float("inf")
        return self._reader

    async def gather(self, seconds: float) -> None:
        """Let come what comes for ``seconds``, or until no more can."""
        if self._over or self._size > HIGH_WATER:
            return
        gathering = self._gathering = self._loop.create_future()
        alarm = self._loop.call_later(seconds, _release, gathering)
        try:
            await gathering
        finally:
            alarm.cancel()
            self._gathering = None

    async def write(self, data: bytes) -> None:
        if self.lost.done():
            raise ConnectionResetError("the connection is lost")
        self.transport.write(data)
        if self._drained is not None:
            await self._drained

    async def start_tls(self, context: ssl.SSLContext, hostname: str | None) -> None:
        made = await self._loop.start_tls(self.transport, self, context, server_hostname=hostname)
        if made is None:
            raise ConnectionResetError("the connection was lost in the TLS handshake")
        self.transport = made

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        # One timer that moves on when it rings, instead of one that is set and cancelled for every read.
        self._alarm = None
        if self._reader is None or self._reader.done() or self._deadline == float("inf"):
            return
        if self._loop.time() < self._deadline:
            self._set_alarm()
        else:
            self._reader.set_exception(TimeoutError())


async def _connect(host: str, port: int, guarded: bool) -> Connection:
    """Connect to ``host``; if ``guarded``, in a site to one of the addresses that its guard has judged."""
    loop = asyncio.get_running_loop()
    if guarded and (watch := guard()):
        return await _connect_first(await watch.resolve(host, port), port)
    # uvloop does not know the argument.
    extra: Any = HAPPY_EYEBALLS if isinstance(loop, asyncio.BaseEventLoop) else {}
    _, connection = await loop.create_connection(Connection, host, port, **extra)
    return connection


async def _connect_first(addresses: Sequence[str], port: int) -> Connection:
    """Connect to the address that answers first; each has a head start on the next.

    :raises OSError: none answered; the last one's reason.
    """
    loop = asyncio.get_running_loop()
    waiting = list(addresses)
    trying: set[asyncio.Task[Connection]] = set()
    failure = OSError("no address")
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.ensure_future(_open(loop, waiting.pop(0), port)))
            patience = HEAD_START if waiting else None
            done, trying = await asyncio.wait(trying, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    return task.result()
                except OSError as error:
                    failure = error
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_hang_up)
    raise failure


async def _open(loop: asyncio.AbstractEventLoop, address: str, port: int) -> Connection:
    _, connection = await loop.create_connection(Connection, address, port)
    return connection


def _hang_up(task: asyncio.Task[Connection]) -> None:
    """Close a connection that came when another one had won."""
    with contextlib.suppress(asyncio.CancelledError, OSError):
        task.result().transport.abort()


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):  # a part of the name is empty, or longer than the DNS has them
        return "no such host"
    # asyncio's own sentence holds the address, which is no business of those who see the error.
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    return os.strerror(error.errno) if error.errno else "no connection"


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
