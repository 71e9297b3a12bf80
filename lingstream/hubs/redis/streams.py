"""What a run looks like in Redis: its keys, its entries, and the two scripts that touch them.

A run's log is the stream ``<prefix>:run:<id>``; an entry has the frame's own id and holds its wire JSON. The
hash ``<prefix>:snap:<id>`` holds the newest snapshot, so that who joins late need not read the whole stream,
and so that the stream can be trimmed. Both go through scripts, because what they check and what they change
must be one step: Redis runs a script whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple, Protocol

from lingstream.core.exceptions import LingError
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.wire.frames import frame_from_wire, frame_to_wire
from lingstream.core.wire.json import dumps, loads

__all__ = [
    "APPEND",
    "JOIN",
    "SCRIPTS",
    "WATCHED",
    "Append",
    "Keys",
    "Link",
    "Refused",
    "Script",
    "Unreachable",
    "decode",
    "encode",
    "place_of",
]


class Unreachable(LingError):
    """Redis did not answer in time, or will not serve us."""

    code = "redis"


class Refused(LingError):
    """Redis answered a command with an error."""

    code = "redis-refused"


class Link(Protocol):
    """One connection, made when it is needed and made anew after a failure."""

    async def exchange(self, commands: list[list[Any]], within: float) -> list[Any]:
        """Send ``commands`` at once and return their replies; an error is a :class:`Refused` among them.

        :raises Unreachable: the connection failed, or ``within`` seconds passed. Any of the commands may
            have been executed.
        """
        ...

    async def close(self) -> None:
        """Give the connection up; the next exchange makes another."""
        ...


class Script:
    """A Lua script, called by its digest: every connection loads it first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: Any) -> list[Any]:
        """Return the command that runs it."""
        return ["EVALSHA", self.digest, len(keys), *keys, *arguments]


class Keys(NamedTuple):
    """The keys of one run."""

    stream: str
    snapshot: str

    @classmethod
    def of(cls, prefix: str, run: str) -> Keys:
        """Return the keys of ``run``."""
        return cls(f"{prefix}:run:{run}", f"{prefix}:snap:{run}")


class Append(NamedTuple):
    """Arguments of :data:`APPEND`, in its order, before the pairs of id and entry.

    :param expected: id that the last entry must have (``0-0``: there must be none).
    :param below: append as well if the last entry is of an epoch below this one; ``0`` for never.
    :param writer: who opens an epoch; tells two writers of one epoch apart.
    :param ttl: milliseconds for which the keys live from now on; ``0`` leaves them as they are.
    :param oldest: id of the oldest entry to keep; ``""`` keeps all.
    :param snapshot_id: place of ``snapshot``; ``-`` removes the stored one, ``""`` leaves it.
    """

    expected: str
    below: int = 0
    writer: str = ""
    ttl: int = 0
    oldest: str = ""
    snapshot_id: str = ""
    snapshot: bytes = b""


#: Appends entries if the stream ends where the writer left it. Returns where it ends now, who opened an epoch
#: with that entry (if it did), and whether there is a stored snapshot. So each reply tells a writer all it
#: needs: its entries are there (also if an earlier reply was lost: this is the read-back), or another epoch
#: is, or the stream is gone.
APPEND = Script("""
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local at = last and last[1] or '0-0'
if at ~= ARGV[1] then
    local epoch, seq = string.match(at, '(%d+)-(%d+)')
    local first_epoch, first_seq = string.match(ARGV[8] or '0-0', '(%d+)-(%d+)')
    local stale = tonumber(epoch) < tonumber(ARGV[2])
    if not stale or (epoch == first_epoch and tonumber(seq) >= tonumber(first_seq)) then
        return {at, last and last[2][4] or '', redis.call('EXISTS', KEYS[2])}
    end
end
for i = 8, #ARGV, 2 do
    at = ARGV[i]
    if ARGV[3] ~= '' then
        redis.call('XADD', KEYS[1], at, 'f', ARGV[i + 1], 'w', ARGV[3])
    else
        redis.call('XADD', KEYS[1], at, 'f', ARGV[i + 1])
    end
end
if ARGV[6] == '-' then
    redis.call('DEL', KEYS[2])
elseif ARGV[6] ~= '' then
    redis.call('HSET', KEYS[2], 'id', ARGV[6], 'f', ARGV[7])
end
if ARGV[5] ~= '' then
    redis.call('XTRIM', KEYS[1], 'MINID', ARGV[5])
end
if ARGV[4] ~= '0' then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return {at, ARGV[3], redis.call('EXISTS', KEYS[2])}
""")

#: Returns the stored snapshot (or false), the entries behind it and the time to live; false without a stream.
JOIN = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then
    return false
end
local snapshot = redis.call('HMGET', KEYS[2], 'id', 'f')
local after = snapshot[1] and '(' .. snapshot[1] or '-'
return {snapshot[2], redis.call('XRANGE', KEYS[1], after, '+'), redis.call('PTTL', KEYS[1])}
""")

#: Returns whether a process is alive that watches a run; the argument is what the processes' keys begin with.
WATCHED = Script("""
for _, process in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', ARGV[1] .. process) == 1 then
        return 1
    end
end
return 0
""")

SCRIPTS = (APPEND, JOIN, WATCHED)


def encode(run: str, frame: Frame) -> bytes:
    """Return an entry's content."""
    return dumps(frame_to_wire(run, frame))


def decode(entry: bytes) -> Frame:
    """Return the frame that an entry holds.

    :raises UsageError: somebody else wrote into the stream.
    """
    return frame_from_wire(loads(entry, depth=None))


def place_of(reply: bytes) -> FrameId:
    """Return the id that Redis gives for an entry."""
    epoch, _, seq = reply.partition(b"-")
    return FrameId(int(epoch), int(seq))
