"""A proxy between the page and the site, with what proxies do to sockets that they do not know."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

__all__ = ["FATES", "Proxy", "proxied"]

FATES = {
    "refused": "the connection ends before the handshake is answered",
    "hanging": "the handshake is never answered",
    "cut": "the connection ends behind the handshake",
    "deaf": "nothing goes through behind the handshake",
}


class Proxy:
    """Lets HTTP through, unless it is cut; ``fate`` says what becomes of sockets.

    :param site: the address of the server behind it.
    :param fate: one of ``FATES``, or ``""``: they come through, too.
    """

    def __init__(self, site: str, fate: str) -> None:
        self._behind = urlsplit(site).netloc.split(":")
        self._fate = fate
        self._live: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.sockets = 0
        """How many were asked for."""
        self.loop = asyncio.new_event_loop()

    def cut(self) -> None:
        """End all that goes through, sockets and responses, and refuse what comes until :meth:`mend`."""

        def abort() -> None:
            self._is_cut = True
            for writer in self._live:
                writer.transport.abort()

        self.loop.call_soon_threadsafe(abort)

    def mend(self) -> None:
        """Let through again what comes."""
        self._is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the browser."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return  # browsers open some that they do not use
        if self._is_cut:
            writer.transport.abort()
            return
        if is_socket := b"upgrade: websocket" in head.lower():
            self.sockets += 1
            if self._fate == "refused":
                writer.close()
                return
            if self._fate == "hanging":
                await reader.read()
                return
        host, port = self._behind
        answers, asks = await asyncio.open_connection(host, int(port))
        if not is_socket:  # one request for each connection, so that none hides behind another
            head = head.replace(b"Connection: keep-alive", b"Connection: close")
        asks.write(head)
        if is_socket and self._fate:
            writer.write(await answers.readuntil(b"\r\n\r\n"))
            if self._fate == "cut":
                writer.close()
                return
            await reader.read()  # what comes is dropped, until the browser goes
            return
        self._live |= {asks, writer}
        await asyncio.gather(_pipe(reader, asks), _pipe(answers, writer))
        self._live -= {asks, writer}


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@contextmanager
def proxied(site: str, fate: str) -> Iterator[tuple[str, Proxy]]:
    """Yield the proxy's address, and the proxy."""
    proxy, ready = Proxy(site, fate), threading.Event()
    address: list[str] = []
    stop = asyncio.Event()

    async def run() -> None:
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
            address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            ready.set()
            await stop.wait()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:  # here, as since Python 3.12 a server's end waits for what goes through
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=proxy.loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield address[0], proxy
    finally:
        proxy.loop.call_soon_threadsafe(stop.set)
        thread.join()
        proxy.loop.close()
