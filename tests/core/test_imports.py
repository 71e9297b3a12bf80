"""Who may import whom: the core stands alone, data flows one way, each SDK has one importer."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lingstream"

CORE_MAY_IMPORT = {"jinja2", "jsonschema_rs", "orjson"}
TRANSPORTS = {"lingstream.transports.socket", "lingstream.transports.http"}

# Who imports whom, a line for each room: the core from the bottom up, then the Django edge. What is not in a
# line is an arrow that nobody has decided on. Two rooms of `access` stand below the models, which ask them.
ARROWS = {
    "core": "",
    "core.exceptions": "core.phrases",
    "core.ending": "",
    "core.names": "core.exceptions",
    "core.lifecycle": "",
    "core.provider": "",
    "core.notices": "",
    "core.phrases": "",
    "core.document": "core.exceptions core.phrases",
    "core.validation": "core.exceptions core.document core.phrases",
    "core.parsing": "core.exceptions core.document core.validation core.phrases",
    "core.log": "core.exceptions core.document core.lifecycle core.notices",
    "core.wire": "core.exceptions core.document core.log core.phrases",
    "core.templates": "core.exceptions core.document core.phrases",
    "core.engine": "core.exceptions core.document core.ending core.lifecycle core.names core.provider "
    "core.validation core.parsing core.log core.templates core.phrases",
    "conf": "",
    "access.network": "core.exceptions core.phrases",
    "access.connect": "access.network",
    "access.pace": "conf",
    "access.bodies": "access.connect access.pace",
    "access.client": "access.connect",
    "access.responses": "core.exceptions core.phrases",
    "access.policy": "conf core.exceptions core.phrases access.network",
    "providers": "conf core access.responses access.network access.bodies access.client access.pace "
    "access.policy",
    "steps": "core access.network access.client access.responses access.policy providers",
    "hubs": "conf core",
    "testing": "core providers",
    "models": "conf core providers access.policy",
    "access": "conf core models access.network access.policy",
    "conversations.tree": "",
    "conversations.messages": "core",
    "conversations.notices": "core models access hubs",
    "conversations.turns": "core models conversations.messages conversations.notices conversations.tree",
    "conversations.hours": "",
    "conversations.nudges": "models conversations.hours",
    "conversations.chats": "core models",
    "execution": "conf core models access providers hubs conversations.turns conversations.chats "
    "conversations.nudges",
    "conversations": "conf core models access execution conversations.turns conversations.tree "
    "conversations.chats conversations.messages conversations.notices conversations.hours "
    "conversations.nudges",
    "conversations.downloads": "models execution transports conversations",
    "conversations.uploads": "conf core models access execution transports conversations "
    "conversations.downloads",
    "conversations.hooks": "core models access execution transports conversations conversations.nudges",
    "conversations.api": "conf core models access execution transports conversations conversations.messages "
    "conversations.turns conversations.downloads conversations.uploads",
    "conversations.buttons": "conf core models access execution conversations conversations.messages "
    "conversations.turns conversations.uploads",
    "conversations.embed": "core models access execution transports conversations conversations.chats",
    "conversations.pages": "core models access transports conversations conversations.buttons",
    "transports": "conf core models access execution hubs conversations",
    "checks": "conf core models access execution providers hubs transports asgi",
    "admin.display": "core",
    "admin.differences": "admin.display",
    "admin.fields": "models admin.display",
    "admin.drawn": "core models admin.display",
    "admin.options": "core models admin.display admin.fields",
    "admin.first": "conf models",
    "admin.stale": "",
    "admin.others": "",
    "admin.media": "core access admin.first admin.others admin.stale",
    "admin.private": "models",
    "admin.documents": "core models execution admin.media admin.private",
    "admin.times": "",
    "admin.remedies": "conf",
    "admin.secret": "core access",
    "admin.trials": "core models access execution admin.display admin.media admin.private admin.remedies",
    "admin.prompts": "core models execution admin.display admin.differences admin.documents admin.media "
    "admin.private admin.stale admin.times admin.trials",
    "admin.workflows": "core models access execution admin.display admin.differences admin.documents "
    "admin.drawn admin.media admin.options admin.private admin.secret admin.stale admin.trials",
    "admin.runs": "conf core models access execution providers conversations.downloads transports "
    "admin.display admin.drawn admin.first admin.media admin.private admin.remedies admin.times "
    "admin.workflows",
    "admin": "conf models execution providers conversations conversations.turns conversations.downloads",
    "management": "admin conf core models access conversations execution hubs providers transports",
    "templatetags": "admin conf core models transports conversations",
    "knowledge": "conf core models access execution providers conversations conversations.turns",
    "knowledge.children": "",
    "knowledge.text": "core.exceptions core.phrases knowledge.children",
    "knowledge.checks": "conf core execution checks knowledge",
    "knowledge.hooks": "core models access execution transports knowledge",
    "knowledge.admin": "conf core models access execution knowledge admin",
    "knowledge.filing": "core models access execution transports knowledge",
    "knowledge.urls": "knowledge.filing knowledge.hooks knowledge.views",
    "knowledge.views": "core models access execution transports knowledge",
    "knowledge.web": "core.exceptions core.phrases access.network access.responses",
    "knowledge.rank": "",
    "knowledge.embed": "conf core providers knowledge.children",
    "routing": "conf transports",
    "urls": "transports conversations.api conversations.embed conversations.hooks conversations.pages "
    "conversations.uploads",
    "asgi": "conf core access execution hubs transports",
    "apps": "access checks conf conversations execution steps",
}

# Who asks the database.
USE_THE_ORM = {
    "lingstream.access.claims",
    "lingstream.access.groups",
    "lingstream.access.origins",
    "lingstream.access.permissions",
    "lingstream.access.throttle",
    "lingstream.admin",
    "lingstream.checks",
    "lingstream.conversations",
    "lingstream.execution.export",
    "lingstream.execution.journal",
    "lingstream.execution.lane",
    "lingstream.execution.memory",
    "lingstream.execution.ownership",
    "lingstream.execution.plans",
    "lingstream.execution.prices",
    "lingstream.execution.published",
    "lingstream.execution.recordings",
    "lingstream.execution.retention",
    "lingstream.execution.schedules",
    "lingstream.execution.start",
    "lingstream.execution.storage",
    "lingstream.execution.trials",
    "lingstream.knowledge",
    "lingstream.management",
    "lingstream.models",
    "lingstream.transports.looks",
    "lingstream.templatetags",
}
# Who is handed rows, and names their class for the types only.
NAME_THE_MODELS = {
    "lingstream.access.embedding",
    "lingstream.access.identity",
    "lingstream.execution.aftermath",
    "lingstream.execution.disconnect",
    "lingstream.execution.endings",
    "lingstream.execution.failures",
    "lingstream.execution.needs",
    "lingstream.execution.runner",
    "lingstream.execution.running",
    "lingstream.execution.versions",
    "lingstream.transports.addresses",
    "lingstream.transports.attached",
    "lingstream.transports.feed",
    "lingstream.transports.messages",
    "lingstream.transports.requests",
    "lingstream.transports.response",
    "lingstream.transports.socket",
    "lingstream.transports.tabs",
    "lingstream.transports.viewer",
}
WITHOUT_AWAIT = {
    *(f"lingstream.core.{name}" for name in ("document", "parsing", "templates", "validation", "wire")),
    *(f"lingstream.core.log.{name}" for name in ("frames", "state")),
    *(f"lingstream.core.engine.{name}" for name in ("graph", "nodes", "reach", "writes")),
}


class Import(NamedTuple):
    """One import; ``late`` inside a function, ``typing`` under ``TYPE_CHECKING``."""

    module: str
    late: bool
    typing: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> list[Import]:
    """Return what a module imports, by absolute names: ``from . import ops`` counts as the module ``ops``."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    package = name_of(path).split(".")
    if path.stem != "__init__":
        package.pop()
    pending: list[tuple[ast.AST, bool, bool]] = [(ast.parse(path.read_text()), False, False)]
    while pending:
        node, late, typing = pending.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, late, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                within = f"{module}.{alias.name}"
                yield Import(within if is_module(within) else module, late, typing)
        late = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing = typing or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        pending.extend((child, late, typing) for child in ast.iter_child_nodes(node))


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@cache
def modules() -> dict[str, Path]:
    paths = (path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts)
    return {name_of(path): path for path in paths}


def core() -> list[str]:
    return [name for name in modules() if name.startswith("lingstream.core.")]


def room_of(name: str) -> str:
    """The line of :data:`ARROWS` that a module belongs to."""
    parts = name.split(".")[1:]
    lines = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((line for line in lines if line in ARROWS), "")


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def importers(top: str) -> set[str]:
    return {
        name
        for name, path in modules().items()
        if any(each.module.split(".")[0] == top for each in imports(path))
    }


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
for name in {names!r}:
    __import__(name)
assert not {blocked!r} & {{name.partition(".")[0] for name in sys.modules}}
"""


def import_without(blocked: set[str], *names: str) -> None:
    script = BLOCKER.format(blocked=blocked, names=names)
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={},
    )
    assert done.returncode == 0, done.stderr


PURE_KNOWLEDGE = {"lingstream.knowledge.rank", "lingstream.knowledge.text"}
# Each is imported where it is used, as any of them may be missing.
KNOWLEDGE = {
    *("lxml", "markitdown", "numpy", "py3langid", "pypdfium2", "semantic_text_splitter", "tokenizers"),
    *("trafilatura", "safetensors", "wordllama", "charset_normalizer"),
}
SDKS = {"django", "channels", "daphne", "asgiref", "openai", "httpx", "redis", "taskiq"}


class TestTheCore:
    def test_needs_neither_django_nor_an_sdk(self) -> None:
        import_without(SDKS, *core())

    def test_nor_do_its_fakes_and_its_contract(self) -> None:
        import_without(
            SDKS | {"pytest"},
            "lingstream",
            "lingstream.providers.scripted",
            "lingstream.testing.hub_contract",
        )

    def test_nor_do_the_pure_parts_of_knowledge_need_a_site_or_a_package(self) -> None:
        import_without(SDKS | KNOWLEDGE, *(name for name in modules() if within(name, PURE_KNOWLEDGE)))

    def test_nor_does_what_fetches_and_reads_the_web_need_a_site(self) -> None:
        import_without(SDKS, *(name for name in modules() if within(name, {"lingstream.knowledge.web"})))

    def test_nor_does_the_guard_of_addresses_which_providers_use(self) -> None:
        import_without(SDKS, "lingstream.access.network")

    @pytest.mark.parametrize("name", core())
    def test_imports_only_itself_and_what_it_may(self, name: str) -> None:
        for found in imports(modules()[name]):
            top = found.module.split(".")[0]
            if top == "lingstream":
                assert within(found.module, {"lingstream.core"}), f"{name} imports {found.module}"
            else:
                assert top in sys.stdlib_module_names | CORE_MAY_IMPORT, f"{name} imports {found.module}"

    def test_imports_downwards_without_a_circle(self) -> None:
        graph = {
            name: {
                each.module
                for each in imports(path)
                if within(each.module, {"lingstream.core"}) and not each.typing
            }
            for name, path in modules().items()
            if within(name, {"lingstream.core"})
        }
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            pytest.fail(f"a circle: {' → '.join(error.args[1])}")
        places = {name.removeprefix("lingstream.core."): order.index(name) for name in graph}
        stack = ["exceptions", "document.jsonuri", "document.ops", "log.frames", "log.ports", "engine.run"]
        assert sorted(stack, key=places.__getitem__) == stack

    @pytest.mark.parametrize("name", [name for name in core() if within(name, WITHOUT_AWAIT)])
    def test_parsing_and_folding_await_nothing(self, name: str) -> None:
        tree = ast.parse(modules()[name].read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Await, ast.AsyncFunctionDef))]


class TestTheHouse:
    def test_nothing_else_is_at_the_top(self) -> None:
        top = {path.stem for path in PACKAGE.glob("*.py")}
        assert top == {"__init__", "apps", "asgi", "conf", "routing", "urls"}

    @pytest.mark.parametrize("name", [name for name in modules() if "." in name])
    def test_an_arrow_is_one_that_was_decided_on(self, name: str) -> None:
        room = room_of(name)
        assert room, f"{name} is in no room"
        allowed = {room, *ARROWS[room].split()}
        for found in imports(modules()[name]):
            if within(found.module, {"lingstream"}) and (to := room_of(found.module)):
                known = any(to == line or to.startswith(f"{line}.") for line in allowed)
                assert known, f"{name} imports {found.module}: no arrow leads from {room} to {to}"

    @pytest.mark.parametrize("name", [name for name in core() if within(name, {"lingstream.core.engine"})])
    def test_no_part_of_the_engine_outgrows_its_room(self, name: str) -> None:
        text = modules()[name].read_text()
        assert len(text.splitlines()) <= 300
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 150, f"{node.name} has {lines} lines"

    def test_no_module_is_in_a_circle(self) -> None:
        graph = {
            name: {each.module for each in imports(path) if not (each.typing or each.late)}
            for name, path in modules().items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            pytest.fail(f"a circle: {' → '.join(error.args[1])}")

    def test_no_room_is_in_a_circle(self) -> None:
        TopologicalSorter({room: line.split() for room, line in ARROWS.items()}).prepare()


def private_names(source: str) -> Iterator[str]:
    """Yield the private names of others that a module touches.

    That is an attribute of anything but ``self``, or one of ``self`` that its own class never sets: a base
    class does.
    """
    tree = ast.parse(source)
    owners = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    own = {owner: _own_names(owner) for owner in owners}
    for node, owner in _attributes(tree, None):
        if node.attr.startswith("_") and not node.attr.endswith("__") and node.attr != "_replace":
            is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not (is_self and owner and node.attr in own[owner]):
                yield ast.unparse(node)


def _attributes(
    node: ast.AST, owner: ast.ClassDef | None
) -> Iterator[tuple[ast.Attribute, ast.ClassDef | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute):
            yield child, owner
        yield from _attributes(child, child if isinstance(child, ast.ClassDef) else owner)


def _own_names(owner: ast.ClassDef) -> set[str]:
    """What a class defines, and what its methods set."""
    defined = {node.name for node in owner.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return defined | {
        node.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


class TestTheEdge:
    @pytest.mark.parametrize(
        "name", [name for name in modules() if within(name, {"lingstream.hubs", "lingstream.core.log"})]
    )
    def test_a_log_and_a_hub_reach_into_nobody(self, name: str) -> None:
        """Or nobody else could write one: the Redis log stood on 39 private names of the one in memory."""
        assert not list(private_names(modules()[name].read_text()))

    def test_which_would_be_seen(self) -> None:
        source = """
class Mine(Base):
    def __init__(self, log):
        super().__init__()
        self._mine, self.log = 1, log
    def _own(self):
        return self._mine, self._own(), self.__class__, self.log._frames[:], self._base, super()._wake()
"""
        assert list(private_names(source)) == ["self.log._frames", "self._base", "super()._wake"]

    @pytest.mark.parametrize(
        ("sdk", "home"),
        [
            ("openai", "lingstream.providers.openai.provider"),
            ("redis", "lingstream.hubs.redis"),
            ("jinja2", "lingstream.core.templates"),
        ],
    )
    def test_an_sdk_has_one_importer(self, sdk: str, home: str) -> None:
        assert all(within(name, {home}) for name in importers(sdk))

    def test_transports_are_siblings(self) -> None:
        for name in TRANSPORTS:
            others = TRANSPORTS - {name}
            found = {each.module for each in imports(modules()[name])}
            assert not found & others, f"{name} imports {found & others}"

    def test_nobody_below_imports_a_transport(self) -> None:
        above = TRANSPORTS | {"lingstream.urls", "lingstream.routing", "lingstream.asgi"}
        for name, path in modules().items():
            if name not in above:
                found = {each.module for each in imports(path) if not each.late}
                assert not found & TRANSPORTS, f"{name} imports {found & TRANSPORTS}"

    def test_only_some_know_the_models(self) -> None:
        for name, path in modules().items():
            if any(within(each.module, {"lingstream.models"}) for each in imports(path)):
                assert within(name, USE_THE_ORM | NAME_THE_MODELS), f"{name} imports the models"

    def test_and_only_some_ask_the_database(self) -> None:
        for name, path in modules().items():
            if not within(name, USE_THE_ORM):
                attributes = {
                    node.attr
                    for node in ast.walk(ast.parse(path.read_text()))
                    if isinstance(node, ast.Attribute)
                }
                asked = attributes & {
                    "objects",
                    "_default_manager",
                    "refresh_from_db",
                    "arefresh_from_db",
                    "asave",
                }
                assert not asked, f"{name} uses {asked}"
