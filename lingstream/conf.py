"""The one module that reads settings: ``LINGSTREAM = {…}`` with typed defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from django.conf import settings as django_settings

__all__ = ["BOUNDS", "Bounds", "LingstreamSettings", "app_settings"]

_DAY = 86_400


class Bounds(NamedTuple):
    """The least and the greatest value of a number; ``None``: none is too large."""

    least: float
    greatest: float | None = None

    def admit(self, value: float) -> bool:
        """Whether ``value`` lies between them; no NaN does."""
        return value >= self.least and (self.greatest is None or value <= self.greatest)

    def __str__(self) -> str:
        if self.greatest is None:
            return f"of at least {self.least:_}"
        return f"from {self.least:_} to {self.greatest:_}"


@dataclass(frozen=True, slots=True)
class LingstreamSettings:
    """What a site may set; every name is a key of ``LINGSTREAM`` in capitals.

    :param provider_keys: name of an environment variable that holds a key → the base-URL prefixes it may be
        sent to. A key that is not listed is never read.
    :param provider_kinds: kind → dotted path of a factory, beside the built-in ``openai`` and ``scripted``.
    :param scripts: name → dotted path of a callable for scripted providers, beside those in each app's
        ``scripts.py``.
    :param default_provider: name of the Provider row for steps and Python bots that name none.
    :param choose_version: dotted path of a function ``(prompt, label, key)`` that says which version of a
        prompt a run gets, see ``lingstream.execution.versions.ChooseVersion``; ``""``: the label does.
    :param memory: dotted path of a class that says what a conversation's bots remember, see
        ``lingstream.execution.memory.Memory``; ``""``: nothing.
    :param hub: dotted path of the hub that holds run logs.
    :param hub_options: keyword arguments of the hub.
    :param frame_interval: seconds between two batches of frames to one viewer, where the process is idle.
    :param frame_interval_busy: seconds between two reads of a model's stream where the process is busy, and
        0.8 of it between two batches; in between it is in between.
    :param heartbeat: seconds of silence after which an SSE stream gets a comment.
    :param log_ttl: seconds for which a finished run's log is kept; then the database answers.
    :param log_frames: frames that a log keeps; viewers further behind get a snapshot.
    :param max_body: bytes of a request body or a socket message.
    :param execution: ``inline`` executes runs in the web process, ``worker`` in ``manage.py ling_worker``.
    :param broker: dotted path of a taskiq broker that wakes workers; without one they look on a timer.
    :param max_attempts: executions of a run whose processes die; then it is ``lost``.
    :param dead_after: seconds without a heartbeat after which a process counts as dead.
    :param heartbeat_every: seconds between two heartbeats of a process.
    :param tick: seconds between two looks for runs that somebody in another process wants stopped, and at
        the stored state of runs whose viewers hear nothing.
    :param max_runs: runs that one process executes at the same time; more are refused as ``busy``.
    :param socket_path: path of the WebSocket, below the prefix under which the site is served.
    :param bundle: serve the browser's client as one minified file, not as its modules; ``None``: where
        ``DEBUG`` is off, as Django's admin serves its scripts.
    :param scope: dotted path of a function ``(request) -> str | None`` that names the tenant; the request has
        ``user``, ``host``, ``path`` and ``headers``, on the socket too (docs/access.md).
    :param default_access: who may start a workflow that does not say so itself: ``anyone``,
        ``authenticated`` or ``permission``.
    :param token_max_age: seconds for which the tokens given at start are good.
    :param throttle: dotted path of what bounds starts from outside (docs/access.md); ``""`` for no bound.
    :param starts_per_identity: runs that one user or session starts: ``60/m`` (or ``s``, ``h``, ``d``).
    :param starts_per_address: runs that visitors without a login start from one address.
    :param uploads_per_identity: files that one user or session attaches to messages.
    :param uploads_per_address: files that visitors without a login attach from one address.
    :param open_runs: runs of one identity that have not ended.
    :param trusted_proxies: proxies in front of the site that append to ``X-Forwarded-For``.
    :param allow_hosts: hosts (``host`` or ``host:port``) that are not public, or have other ports than 80 and
        443, and to which providers and steps may connect all the same.
    :param observers: dotted paths of classes that hear what runs do, made once per process; see
        ``lingstream.core.engine.observers.Observer``.
    :param step_kinds: dotted paths of step kinds, objects or classes, beside the built-in ones and those that
        an app's ``steps.py`` registers; see ``lingstream.core.engine.kinds.StepKind``.
    :param checkpoint: seconds between two stored snapshots of a running document.
    :param viewer_budget: bytes after which a viewer is ended, to come back by id, where the server's ``send``
        does not wait and the viewer does not acknowledge.
    :param disconnect_grace: seconds without a viewer after which a run is cancelled, if its workflow says so,
        and without a tab after which a person counts as gone from a conversation.
    :param hard_delete: a conversation that its owner deletes goes at once, and not with the next pruning.
    :param drain: seconds that running runs are given at shutdown.
    :param knowledge_memory: bytes of the vectors that a process keeps for searches in collections.
    :param knowledge_roots: folders that sources of the kind ``folder`` may read, and what is below them.
    :param knowledge_storages: names in ``STORAGES`` that sources of the kind ``storage`` may read.
    :param knowledge_cache: vectors that are kept of texts, whether or not they are still in a collection.
    """

    provider_keys: Mapping[str, list[str]] = field(default_factory=dict)
    provider_kinds: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    default_provider: str = "default"
    choose_version: str = ""
    memory: str = "lingstream.conversations.history.History"
    hub: str = "lingstream.core.log.memory.MemoryHub"
    hub_options: Mapping[str, Any] = field(default_factory=dict)
    frame_interval: float = 0.010
    frame_interval_busy: float = 0.050
    heartbeat: float = 15.0
    log_ttl: float = 300.0
    log_frames: int = 5_000
    max_body: int = 262_144
    execution: str = "inline"
    broker: str = ""
    max_attempts: int = 3
    dead_after: float = 15.0
    heartbeat_every: float = 3.0
    tick: float = 0.5
    max_runs: int = 500
    socket_path: str = "ws/ling/"
    bundle: bool | None = None
    scope: str = ""
    default_access: str = "authenticated"
    token_max_age: int = 86_400
    throttle: str = "lingstream.access.throttle.CacheThrottle"
    starts_per_identity: str = "60/m"
    starts_per_address: str = "60/m"
    uploads_per_identity: str = "60/m"
    uploads_per_address: str = "60/m"
    open_runs: int = 20
    trusted_proxies: int = 0
    allow_hosts: list[str] = field(default_factory=list)
    observers: list[str] = field(default_factory=list)
    step_kinds: list[str] = field(default_factory=list)
    checkpoint: float = 5.0
    viewer_budget: int = 8_388_608
    disconnect_grace: float = 30.0
    hard_delete: bool = False
    drain: float = 10.0
    knowledge_memory: int = 536_870_912
    knowledge_roots: list[str] = field(default_factory=list)
    knowledge_storages: list[str] = field(default_factory=list)
    knowledge_cache: int = 100_000


#: The bounds of each number among the settings. What a loop sleeps for is never 0: the loop would not rest.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "frame_interval": Bounds(0, 60),
        "frame_interval_busy": Bounds(0, 60),
        "heartbeat": Bounds(0.01, _DAY),
        "log_ttl": Bounds(1, 30 * _DAY),
        "log_frames": Bounds(1, 1_000_000),
        "max_body": Bounds(1),
        "max_attempts": Bounds(1),
        "dead_after": Bounds(0.01, _DAY),
        "heartbeat_every": Bounds(0.01, _DAY),
        "tick": Bounds(0.01, _DAY),
        "max_runs": Bounds(1),
        "token_max_age": Bounds(1),
        "open_runs": Bounds(0),
        "trusted_proxies": Bounds(0),
        "checkpoint": Bounds(0.01, _DAY),
        "viewer_budget": Bounds(1),
        "disconnect_grace": Bounds(0, _DAY),
        "drain": Bounds(0, _DAY),
        "knowledge_memory": Bounds(0),
        "knowledge_cache": Bounds(0),
    }
)


def app_settings() -> LingstreamSettings:
    """Return the settings in force (read anew each time, so ``override_settings`` works; it is cheap).

    :raises ImproperlyConfigured: never here; unknown names, and a ``LINGSTREAM`` that is no mapping, are
        reported by the system check ``lingstream.E001`` and ignored.
    """
    given = getattr(django_settings, "LINGSTREAM", {})
    if not isinstance(given, Mapping):
        return LingstreamSettings()
    known = {name: given[name.upper()] for name in _NAMES if name.upper() in given}
    return LingstreamSettings(**known)


_NAMES = tuple(item.name for item in fields(LingstreamSettings))
