"""What is stored of an error, or answered, can be told in any language: it is a phrase wherever it is made.

Errors of runs and steps, of documents, passes and sources, and of schedules are stored where they are caught,
which is far from where they are made. So each error of the tree is looked at, but for those that are known to
be told in English, and what else becomes a column.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lingstream"

#: Whose errors are answered in English, logged or raised at import, and never stored; a function by its name.
NEVER_STORED = {
    "access/embedding.py": "who asks is answered",
    "access/sessions.py": "who asks is answered",
    "access/tokens.py": "who asks is answered",
    "access/visitors.py": "who asks is answered",
    "transports/asked.py": "who asks is answered",
    "transports/attached.py": "who asks is answered",
    "transports/eventstream.py": "who asks is answered",
    "transports/messages.py": "who asks is answered",
    "transports/response.py": "who asks is answered",
    "transports/socket.py": "who asks is answered",
    "conversations": "who asks is answered",
    "execution/storage.py:_no_run": "who asks is answered",
    "core/wire/frames.py": "who reads frames is answered",
    "core/log": "it is a fault of who calls",
    "core/parsing/emitter.py:note": "the parsers of runs repair; a strict one is the caller's",
    "core/wire/dialect.py": "it is told at import",
    "core/engine/chat.py": "it is told at import",
    "core/engine/occasions.py": "it is told at import",
    "core/engine/registry.py:workflow": "it is told at import",
    "core/engine/kinds.py:_check_kind": "it is told at import",
    "steps/python.py:__init__": "it is told at import",
    "steps/python.py:options_of": "it is told at import",
    "steps/python.py:schema_of": "it is told at import",
    "steps/query.py:__init__": "it is told at import",
    "knowledge/registry.py": "it is told at import",
    "core/names.py": "it is told at import",
    "knowledge/sources/python.py:source": "it is told at import",
    "knowledge/sources/render.py:renderer": "it is told at import",
}
#: Those that end who writes, and are no end of what is written.
OF_WRITERS = {"Fenced", "Overtaken", "Refused", "Unreachable"}
#: What is no error of the tree, and is stored as one: the place of its message.
STORED = {"Failed": 1}
#: Names whose text becomes a column.
COLUMNS = {"problem", "_problem", "last_error"}

WORDS = re.compile(r"[A-Za-z]{2}")


@cache
def modules() -> dict[str, ast.Module]:
    """The package's modules by their paths."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def errors() -> dict[str, int]:
    """The errors of the tree by name, and the place of what each says."""
    found, known = {"LingError": 0}, list(_classes())
    while new := [each for each in known if each.name not in found and _bases(each) & found.keys()]:
        for each in new:
            base = next(iter(_bases(each) & found.keys()))
            found[each.name] = _place(each, found[base])
    return {name: place for name, place in found.items() if name not in OF_WRITERS} | STORED


def _classes() -> Iterator[ast.ClassDef]:
    for tree in modules().values():
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _bases(cls: ast.ClassDef) -> set[str]:
    return {base.id for base in cls.bases if isinstance(base, ast.Name)}


def _place(cls: ast.ClassDef, inherited: int) -> int:
    for each in cls.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            names = [arg.arg for arg in each.args.args[1:]]
            return names.index("message") if "message" in names else 0
    return inherited


def unphrased(module: ast.Module) -> Iterator[tuple[str, int, str]]:
    """The function, the line and the text of each message in a module that is English and no phrase."""
    yield from _in_scope(module, (), errors())


def _in_scope(
    scope: ast.AST, names: tuple[str, ...], known: dict[str, int]
) -> Iterator[tuple[str, int, str]]:
    inner, nodes = [], []
    left = list(ast.iter_child_nodes(scope))
    while left:
        node = left.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner.append(node)
            continue
        nodes.append(node)
        left += ast.iter_child_nodes(node)
    assigned: dict[str, list[ast.expr]] = {}
    for node in nodes:
        for target, value in _assignments(node):
            assigned.setdefault(target, []).append(value)
    for node in nodes:
        for value in _told(node, known):
            meant = assigned.get(value.id, []) if isinstance(value, ast.Name) else [value]
            for each in filter(_is_english, meant):
                yield ":".join(names[:1]), each.lineno, ast.unparse(each)
    for function in inner:
        yield from _in_scope(function, (*names, function.name), known)


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
            yield name, value
        case ast.NamedExpr(ast.Name(name), value):
            yield name, value


def _told(node: ast.AST, known: dict[str, int]) -> Iterator[ast.expr]:
    match node:
        case ast.Call(ast.Name(name), args, keywords) if name in known:
            yield from args[known[name] : known[name] + 1]
            yield from (each.value for each in keywords if each.arg == "message")
        case ast.Call(_, _, keywords):
            yield from (each.value for each in keywords if each.arg in COLUMNS)
        case ast.Assign([ast.Name(name)], value) | ast.Assign([ast.Attribute(_, name)], value):
            yield from [value] if name in COLUMNS else []
        case ast.Dict(keys, values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value in COLUMNS:
                    yield value


def _is_english(value: ast.expr) -> bool:
    match value:
        case ast.Constant(str(text)):
            return WORDS.search(text) is not None
        case ast.JoinedStr(parts):
            return any(map(_is_part, parts))
        case ast.BinOp(left, ast.Add() | ast.Mod(), right):
            return _is_english(left) or _is_english(right)
        case ast.BoolOp(_, parts):
            return any(map(_is_english, parts))
        case ast.IfExp(_, one, other):
            return _is_english(one) or _is_english(other)
        case ast.Subscript(text) | ast.Call(ast.Attribute(text, "format" | "join")):
            return _is_english(text)
    return False


def _is_part(part: ast.expr) -> bool:
    """Whether it makes a text English: words, or what another error says, which may be a phrase no more."""
    match part:
        case ast.FormattedValue(ast.Attribute(_, "message")):
            return True
    return isinstance(part, ast.Constant) and _is_english(part)


def _is_exempt(place: str, function: str) -> bool:
    return f"{place}:{function}" in NEVER_STORED or any(
        place == each or place.startswith(f"{each}/") for each in NEVER_STORED
    )


def test_an_error_that_may_be_stored_is_a_phrase() -> None:
    assert [
        f"{place}:{line}: {text}"
        for place, module in modules().items()
        for function, line, text in unphrased(module)
        if not _is_exempt(place, function)
    ] == []


def test_what_is_never_stored_is_named_only_where_there_is_something() -> None:
    used = set[str]()
    for place, module in modules().items():
        for function, _, _ in unphrased(module):
            used.update({f"{place}:{function}", place, *(each.as_posix() for each in Path(place).parents)})
    assert NEVER_STORED.keys() - used == set()


@pytest.mark.parametrize(
    "source",
    [
        'raise UsageError("expected a name")',
        'raise UsageError(f"expected {one}")',
        'raise UsageError(f"expected {one}"[:500], code="x")',
        'raise InvalidInput(f"{where}: {failure.message}" if where else failure.phrase, uri=where)',
        'message = f"expected {one}"\nraise UsageError(message, uri=uri)',
        'raise UsageError("expected one of " + (names or "none"))',
        'raise UsageError("expected {one}".format(one=one))',
        'raise UsageError(names or "none")',
        'raise ExtractionError("too-large", f"expected up to {most} bytes")',
        'def f():\n    return Failed("moved", f"it has moved to {url}")',
        'self.problem = f"there are more than {most} files"',
        'Prepared(status="empty", problem="there is no text in it")',
        'change(state=state, problem="all is lost")',
        'columns = {"last_error": "nothing"}',
    ],
)
def test_english_is_found(source: str) -> None:
    assert len(list(unphrased(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        'raise UsageError(Phrase("expected a name"))',
        'message = Phrase("expected %(one)s", one=f"{one!r:.80}")\nraise UsageError(message)',
        "raise ProviderError(error.message)",
        'raise LingError(str(error.get("message", "")))',
        'raise ExtractionError("too-large", Phrase("expected less"))',
        'Failed("unreadable", f"{key}: {error.strerror}")',
        'self.problem = ""',
        'raise ValueError("expected a name")',
        'raise Fenced("it goes on elsewhere")',
    ],
)
def test_what_can_be_told_is_let_be(source: str) -> None:
    assert list(unphrased(ast.parse(source))) == []
