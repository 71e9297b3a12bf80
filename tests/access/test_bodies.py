"""Bodies that are read from the socket, beside the same bytes read by httpx and by h11."""

import asyncio
import contextlib
import datetime
import gzip
import ipaddress
import itertools
import os
import socket
import ssl
import struct

import h11
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.access.bodies import Body, Chunked
from lingstream.access.client import http_client, ssl_context
from lingstream.access.connect import AsyncioBackend, SocketStream
from lingstream.access.pace import Pace
from lingstream.core.ending import end_tasks

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TEXT = 'data: {"a": "云"}\n\ndata: {"b": 1}\r\n\r\ndata: [DONE]\n\n'.encode()


def in_chunks(data: bytes, size: int, extension: bytes = b"") -> bytes:
    """The chunks of a body, without the last one."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)


CHUNKED = {
    "whole": in_chunks(TEXT, 1000) + b"0\r\n\r\n",
    "small chunks": in_chunks(TEXT, 3) + b"0\r\n\r\n",
    "extensions": in_chunks(TEXT, 17, b';a="b"; c') + b"0;d\r\n\r\n",
    "spaces and zeros": b"0004  \r\nabcd\r\n0000\r\n\r\n",
    "trailers": in_chunks(TEXT, 20) + b"0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
    "nothing": b"0\r\n\r\n",
    "no last chunk": in_chunks(TEXT, 20),
    "cut in a chunk": in_chunks(TEXT, 20)[:30],
    "cut in a header": in_chunks(TEXT, 20) + b"1",
    "cut in a line break": in_chunks(TEXT, 1000)[:-1],
    "cut in a trailer": in_chunks(TEXT, 20) + b"0\r\nX-Sum: 1\r\n",
    "no number": in_chunks(TEXT, 20) + b"xyz\r\nabc\r\n0\r\n\r\n",
    "a sign": in_chunks(TEXT, 20) + b"+3\r\nabc\r\n0\r\n\r\n",
    "an underscore": in_chunks(TEXT, 20) + b"1_0\r\nabc\r\n0\r\n\r\n",
    "an empty header": in_chunks(TEXT, 20) + b"\r\nabc\r\n0\r\n\r\n",
    "no carriage return": in_chunks(TEXT, 20) + b"3\nabc\n0\n\n",
    "longer than it says": b"3\r\nabcd\r\n0\r\n\r\n",
    "no line break behind it": b"3\r\nabc3\r\ndef\r\n0\r\n\r\n",
    "half a line break behind it": b"3\r\nabc\r3\r\ndef\r\n0\r\n\r\n",
    "more digits than any size has": b"0" * 19 + b"3\r\nabc\r\n0\r\n\r\n",
    "a long extension": b"3;" + b"x" * 2000 + b"\r\nabc\r\n0\r\n\r\n",
    "a trailer that is none": in_chunks(TEXT, 20) + b"0\r\nno trailer\r\n\r\n",
}


def read_by_h11(packets) -> tuple[bytes, str]:
    """What h11 makes of a body: its bytes, and whether it came to an end."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(HEAD)
    assert isinstance(connection.next_event(), h11.Response)
    got, rest = b"", [*packets, b""]
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return got, "fault"
        if event is h11.NEED_DATA:
            connection.receive_data(rest.pop(0))
        elif isinstance(event, h11.Data):
            got += event.data
        else:
            return got, "end"


def read_by_us(packets) -> tuple[bytes, str]:
    """The same, with h11 for what Chunked leaves over."""
    chunked, got, rest = Chunked(), b"", [*packets]
    while rest and not chunked.is_over:
        got += chunked.feed(rest.pop(0))
    more, how = read_by_h11([chunked.rest, *rest] if chunked.rest else rest)
    return got + more, how


@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_are_read_as_by_h11_wherever_they_are_cut(name):
    body = CHUNKED[name]
    expected = read_by_h11([body])
    assert read_by_us([body]) == expected
    assert read_by_us([body[at : at + 1] for at in range(len(body))]) == expected
    for at in range(1, len(body), 1 + len(body) // 500):
        assert read_by_us([body[:at], body[at:]]) == expected, at


PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"0", b"3", b"a", b"F", b";", b" ", b"-", b"0\r\n\r\n", b"3\r\nabc\r\n", b"X: 1"]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30), st.lists(st.integers(0, 60), max_size=6))
def test_whatever_comes_is_read_as_by_h11(pieces, cuts):
    body = b"".join(pieces)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    packets = [body[start:end] for start, end in itertools.pairwise(places) if start < end]
    assert read_by_us(packets) == read_by_h11([body])


def test_a_header_without_an_end_is_not_kept_for_ever():
    chunked = Chunked()
    for _ in range(100):
        if not chunked.is_over:
            chunked.feed(b"1" * 50)
    assert chunked.is_over
    assert len(chunked.rest) < 2000


# ------------------------------------------------------------------------------ over sockets


class Server:
    """Answers each request with the same packets.

    At an event among them it waits for it, at ``None`` until the client hangs up.
    """

    def __init__(self, packets, *, keeps=True, resets=False, ssl=None):
        self.packets, self.keeps, self.resets, self.ssl = packets, keeps, resets, ssl
        self.gone = asyncio.Event()
        self.connections = self.tunnels = 0
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await end_tasks(*self._tasks)

    @property
    def url(self):
        return f"{'https' if self.ssl else 'http'}://127.0.0.1:{self.port}/"

    async def _connected(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        self.gone.set()
        writer.close()

    async def _answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"CONNECT"):
            return await self._tunnel(head, reader, writer)
        for packet in self.packets:
            if packet is None:
                return bool(await reader.read(1))
            if isinstance(packet, asyncio.Event):
                await packet.wait()
                continue
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)
        if self.resets:
            linger = struct.pack("ii", 1, 0)  # its close sends a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        return self.keeps

    async def _tunnel(self, head, reader, writer):
        self.tunnels += 1
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_relay(reader, back), _relay(there, writer))


async def _relay(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


PLAIN_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ZIPPED = gzip.compress(TEXT, mtime=0)
# head, body, whether the connection is kept, whether we read it
FRAMINGS = {
    "chunked": (HEAD, CHUNKED["small chunks"], True, True),
    "chunked, with extensions": (HEAD, CHUNKED["extensions"], True, True),
    "chunked, with trailers": (HEAD, CHUNKED["trailers"], True, True),
    "chunked, to be closed": (HEAD[:-2] + b"Connection: close\r\n\r\n", CHUNKED["whole"], False, True),
    "with a length": (PLAIN_HEAD + b"Content-Length: %d\r\n\r\n" % len(TEXT), TEXT, True, False),
    "until it is closed": (PLAIN_HEAD + b"\r\n", TEXT, False, True),
    "HTTP/1.0": (PLAIN_HEAD.replace(b"1.1", b"1.0") + b"\r\n", TEXT, False, True),
    "gzip": (
        HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n",
        in_chunks(ZIPPED, 9) + b"0\r\n\r\n",
        True,
        False,
    ),
    "a head that ends in line feeds": (HEAD.replace(b"\r", b""), CHUNKED["small chunks"], True, True),
    "behind an early hint": (
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + HEAD,
        CHUNKED["whole"],
        True,
        False,
    ),
    "a fault": (HEAD, CHUNKED["no number"], True, True),
    "a fault behind a chunk": (HEAD, CHUNKED["no line break behind it"], True, True),
    "cut in a chunk": (HEAD, CHUNKED["cut in a chunk"], False, True),
    "cut in a header": (HEAD, CHUNKED["cut in a header"], False, True),
    "cut in a length": (PLAIN_HEAD + b"Content-Length: 999\r\n\r\n", TEXT, False, False),
}


async def asked(client, url):
    request = client.build_request("POST", url, content=b"", timeout=60)
    return await client.send(request, stream=True)


class Every(Pace):
    """So many seconds between two reads, whatever the process does."""

    def __init__(self, seconds):
        super().__init__(0.0, 0.0)
        self.seconds = seconds
        self.reads = []

    def read(self, now, late, packets):
        self.reads.append((now, late, packets))
        return now + self.seconds


async def by_us(client, url, pace=None):
    """What a body held, and how it ended; and whether it was read from the socket."""
    got = b""
    body = Body(await asked(client, url), pace)
    direct = body.is_direct
    try:
        while data := await body.read():
            got += data
        assert await body.read() == b""
        how = "end"
    except httpx2.HTTPError as error:
        how = type(error).__name__
    await body.aclose()
    return got, how, direct


async def by_httpx(client, url):
    got = b""
    async with client.stream("POST", url, content=b"") as response:
        try:
            async for data in response.aiter_bytes():
                got += data
            how = "end"
        except httpx2.HTTPError as error:
            how = type(error).__name__
    return got, how


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


WAYS = ["plain", "TLS", "proxy", "tunnel"]


@pytest.fixture
def way(request, certificate, monkeypatch):
    """How the server is reached: its TLS context, and a proxy's address for the environment."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    if request.param in ("TLS", "tunnel"):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        ssl_context.cache_clear()
        request.addfinalizer(ssl_context.cache_clear)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        return request.param, context
    return request.param, None


@contextlib.asynccontextmanager
async def reached(way, packets, monkeypatch, **options):
    """A server, a client of ours and its URL."""
    kind, context = way
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(packets, ssl=context, **options))
        url, proxy = server.url, None
        if kind == "proxy":
            monkeypatch.setenv("http_proxy", server.url)
            url = "http://model.invalid/"
        if kind == "tunnel":
            proxy = await stack.enter_async_context(Server([]))
            monkeypatch.setenv("https_proxy", proxy.url)
        client = await stack.enter_async_context(http_client(5))
        yield server, client, url
        assert proxy is None or proxy.tunnels == server.connections


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("way", WAYS, indirect=True)
async def test_a_body_is_read_as_by_httpx(way, framing, monkeypatch):
    head, body, keeps, is_direct = FRAMINGS[framing]
    expected: tuple[bytes, str] | None = None
    for size in (1, 11, 10_000):
        async with reached(way, cut(head + body, size), monkeypatch, keeps=keeps) as (server, client, url):
            read = [await by_us(client, url, pace) for pace in (None, Every(0.002))]
            connections = server.connections
            if expected is None:
                async with httpx2.AsyncClient(verify=ssl_context()) as other:
                    expected = got, how = await by_httpx(other, url)
        assert read == [(got, how, is_direct)] * 2
        assert connections == (1 if keeps and how == "end" else 2)
    assert how == ("RemoteProtocolError" if "fault" in framing or "cut in" in framing else "end")


@pytest.mark.parametrize("way", ["plain", "TLS"], indirect=True)
@pytest.mark.parametrize("framing", ["chunked", "until it is closed", "with a length"])
async def test_a_connection_that_is_reset(way, framing, monkeypatch):
    head, body, *_ = FRAMINGS[framing]
    async with reached(way, [head, body[:20]], monkeypatch, resets=True) as (_, client, url):
        _, how, _ = await by_us(client, url)
        async with httpx2.AsyncClient(verify=ssl_context()) as other:
            assert how == (await by_httpx(other, url))[1] == "ReadError"


@pytest.mark.parametrize("way", WAYS, indirect=True)
@pytest.mark.parametrize("framing", ["chunked", "until it is closed", "with a length"])
@pytest.mark.parametrize("how", ["time-out", "cancel", "close"])
@pytest.mark.parametrize("pace", [None, Every(0.01)])
async def test_who_reads_no_further_hangs_up(way, framing, how, pace, monkeypatch):
    head, body, *_ = FRAMINGS[framing]
    async with reached(way, [head, body[:20], None], monkeypatch) as (server, client, url):
        response = await asked(client, url)
        if how == "time-out":
            response.request.extensions["timeout"]["read"] = 0.02
        reading = Body(response, pace)
        assert TEXT.startswith(await reading.read())
        if how == "time-out":
            with pytest.raises(httpx2.ReadTimeout):
                await asyncio.wait_for(_to_the_end(reading), 5)
        elif how == "cancel":
            task = asyncio.ensure_future(_to_the_end(reading))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await reading.aclose()
        await asyncio.wait_for(server.gone.wait(), 5)


async def _to_the_end(body):
    while await body.read():
        pass


async def test_packets_between_two_reads_are_read_together():
    pace, goes_on = Every(60.0), asyncio.Event()
    first, *rest = cut(CHUNKED["small chunks"].removesuffix(b"0\r\n\r\n"), 11)
    async with Server([HEAD + first, goes_on, *rest, None]) as server, http_client(1) as client:
        response = await asked(client, server.url)
        body, connection = Body(response, pace), response.extensions["network_stream"].connection
        got = await body.read()
        reading = asyncio.ensure_future(body.read())
        goes_on.set()
        while connection._size < len(b"".join(rest)):
            await asyncio.sleep(0)
        assert not reading.done() and len(pace.reads) == 1
        connection._gathering.set_result(None)  # as its timer does
        assert got + await reading == TEXT
        await body.aclose()
    assert len(pace.reads) == 2


@pytest.mark.parametrize(
    "framing", ["chunked", "chunked, to be closed", "until it is closed", "cut in a chunk"]
)
async def test_nothing_is_waited_for_where_nothing_more_can_come(framing):
    head, body, _, _ = FRAMINGS[framing]
    packets = cut(head + body, 11)
    async with Server(packets, keeps=False) as server, http_client(1) as client:
        async with asyncio.timeout(20):
            got, how, _ = await by_us(client, server.url, Every(3600.0))
    assert (got, how) == ((TEXT, "end") if framing != "cut in a chunk" else (got, "RemoteProtocolError"))


async def test_what_a_socket_holds_at_most_is_read_at_once():
    piece = in_chunks(b"x" * 10_000, 10_000)
    async with Server([HEAD, *[piece] * 400, None]) as server, http_client(1) as client:
        body, got = Body(await asked(client, server.url), Every(3600.0)), 0
        async with asyncio.timeout(20):
            while got < 3_000_000:
                got += len(await body.read())
        await body.aclose()


async def test_a_fast_server_is_held_back_while_nobody_reads():
    piece = in_chunks(b"x" * 10_000, 10_000)
    async with Server([HEAD, *[piece] * 400, b"0\r\n\r\n"]) as server, http_client(1) as client:
        async with client.stream("POST", server.url, content=b"") as response:
            body = Body(response)
            assert body.is_direct
            connection = response.extensions["network_stream"].connection
            while connection.transport.is_reading():
                await asyncio.sleep(0)
            got = 0
            while data := await body.read():
                got += len(data)
                assert len(data) < 1_000_000
        assert got == 4_000_000
        async with client.stream("POST", server.url, content=b"") as response:
            await _to_the_end(Body(response))
        assert server.connections == 1


async def test_what_is_not_our_socket_is_read_by_httpx():
    async with Server([HEAD + CHUNKED["whole"]]) as server, httpx2.AsyncClient() as client:
        assert await by_us(client, server.url) == (TEXT, "end", False)


async def test_the_version_of_httpx_that_is_installed_lets_us_read():
    """A change in there would only make us slower, and only this would tell."""
    async with (
        Server([HEAD + CHUNKED["whole"]]) as server,
        http_client(1) as client,
        client.stream("POST", server.url, content=b"") as response,
    ):
        assert response.extensions["http_version"] == b"HTTP/1.1"
        assert response.request.extensions["timeout"]["read"] == 5.0
        stream = response.extensions["network_stream"]
        assert isinstance(stream, SocketStream), "httpx has another way to tell its socket"
        assert stream.at_body, "httpx reads on before it returns a response"
        assert Body(response).is_direct
        await response.aread()


async def test_a_proxy_is_reached_through_our_own_sockets(monkeypatch):
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    async with http_client(1) as client:
        pools = [mounted._pool for mounted in client._mounts.values() if mounted]
        assert pools
        assert all(type(pool._network_backend) is AsyncioBackend for pool in pools)
