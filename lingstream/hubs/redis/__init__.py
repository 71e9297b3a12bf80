"""Run logs on Redis Streams: any process can follow, resume and take over the runs of any other.

The only module that imports ``redis``. What is promised, and what is lost when what fails, is in
``docs/redis.md``.
"""

from __future__ import annotations

import contextlib
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from .hub import StreamsHub
from .patience import Bound
from .streams import SCRIPTS, Refused, Unreachable

__all__ = ["RedisHub"]


class RedisHub(StreamsHub):
    """See :class:`lingstream.core.log.ports.Hub`.

    Two connections per process, however many runs and viewers: one that writes and asks, one that waits for
    news. No call takes longer than ``timeout``; a Redis that is silent for as long counts as sick, and runs
    go on for the viewers of the process that executes them.

    :param url: ``redis://``, ``rediss://`` or ``unix://``.
    :param prefix: what the keys begin with.
    :param ttl: seconds for which Redis keeps a run after its end, or without a sign of life of its writer.
    :param max_frames: frames that each log keeps, here and in Redis.
    :param timeout: seconds, see above.
    :param check: seconds between two looks whether Redis still has what it should have.
    :param linger: seconds for which a run that nobody watches any more is still followed.
    :param pause: seconds for which frames are gathered when there are many.
    :param options: for redis-py's connections, as ``username`` or ``ssl_ca_certs``.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "lingstream",
        ttl: float = 300.0,
        max_frames: int = 5_000,
        timeout: float = 1.0,
        check: float = 5.0,
        linger: float = 30.0,
        pause: float = 0.005,
        **options: Any,
    ) -> None:
        # Time-outs and retries are ours: redis-py's swallow a cancel now and then (wait_for in Python 3.11).
        ours = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
        }
        pool = ConnectionPool.from_url(url, **{**ours, **options})
        super().__init__(
            lambda: _Connection(pool),
            prefix=prefix,
            ttl=ttl,
            max_frames=max_frames,
            timeout=timeout,
            check=check,
            linger=linger,
            pause=pause,
        )


class _Connection:
    """See :class:`Link`. One of redis-py's connections, without the retries and time-outs of its clients."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None

    async def exchange(self, commands: list[list[Any]], within: float) -> list[Any]:
        """See :meth:`Link.exchange`."""
        try:
            # Twice: should redis-py lose the first time-out's cancel, the second one's comes a second later.
            async with Bound(within + 1), Bound(within):
                connection = self._connection or await self._connect()
                return await _exchange(connection, commands)
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise Unreachable(str(error) or f"no answer within {within:.1f} s") from error
        except BaseException:
            await self.close()  # a reply that nobody waits for would be taken for the next one's
            raise

    async def close(self) -> None:
        """See :meth:`Link.close`."""
        if connection := self._connection:
            self._connection = None
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _connect(self) -> Any:
        connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._connection = connection
        await connection.connect()
        await _exchange(connection, [["SCRIPT", "LOAD", script.text] for script in SCRIPTS])
        return connection


def _pack(command: list[Any]) -> bytes:
    """As redis-py packs a command, in a quarter of the time: most of what a frame costs was there."""
    packed = [b"*%d\r\n" % len(command)]
    for item in command:
        data = item if type(item) is bytes else str(item).encode()
        packed.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(packed)


async def _exchange(connection: AbstractConnection, commands: list[list[Any]]) -> list[Any]:
    await connection.send_packed_command(b"".join(map(_pack, commands)), check_health=False)
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            # Its class says what it is: redis-py cuts the code off the message.
            replies.append(Refused(f"{type(error).__name__}: {error}"))
    return replies
