"""The catalogs of the packages and of the demo: what is translated there, and ``python -m tests.catalogs``.

That writes the catalogs anew: what is not said any more goes, what is new stays to be translated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polib
from django.utils.translation.template import templatize

__all__ = ["APPS", "LANGUAGES", "PACKAGES", "catalog_of", "said_in"]

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "lingsite"
#: What is installed.
PACKAGES = (ROOT / "lingstream", ROOT / "lingstream" / "knowledge")
#: The folders that have a catalog of their own, without what lies in another one's.
APPS = (*PACKAGES, DEMO)
_TEMPLATES = {DEMO: ROOT / "templates"}  # where they do not lie in the app
LANGUAGES = {"en": "nplurals=2; plural=(n != 1);", "zh_Hans": "nplurals=1; plural=0;"}

_STRING = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"\b(?:_|n?gettext)\(\s*{_STRING}(?:\s*,\s*{_STRING})?", re.DOTALL)
_FUNCTIONS = {"gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "Phrase"}
_FROM = re.compile(r"django\.utils\.translation|(lingstream\.)?core\.phrases")


def said_in(app: Path) -> dict[str, str]:
    """Return the texts that an app has translated, each with its plural, or ``""``."""
    others = [each for each in APPS if each != app and each.is_relative_to(app)]
    found: dict[str, str] = {}
    for path in sorted([*app.rglob("*.py"), *_TEMPLATES.get(app, app).rglob("*.html")]):
        if not any(path.is_relative_to(other) for other in others):
            tell = _in_module if path.suffix == ".py" else _in_template
            for text, plural in tell(path.read_text("utf-8")):
                found[text] = found.get(text) or plural
    found.pop("", None)
    return found


def catalog_of(app: Path, language: str) -> Path:
    """Return the path of a catalog."""
    return app / "locale" / language / "LC_MESSAGES" / "django.po"


def _in_module(source: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and _FROM.fullmatch(node.module or "")
        for alias in node.names
        if alias.name in _FUNCTIONS
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name(name), [ast.Constant(str(text)), *more]) if name in names:
                plural = more[0].value if more and isinstance(more[0], ast.Constant) else ""
                yield text, str(plural)
            case ast.ClassDef(body=body) if any("_schema" in name for name in _named(body)):
                yield from ((text, "") for text in [_named(body).get("title")] if isinstance(text, str))
                yield from ((text, "") for text in _described(body))
            case ast.Dict(keys, values):
                yield from _in_schema(list(zip(keys, values, strict=True)))


def _named(body: Iterable[ast.stmt]) -> dict[str, object]:
    """What the names in a class stand for, as far as these are constants."""
    found: dict[str, object] = {}
    for each in body:
        match each:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, value):
                found[name] = value.value if isinstance(value, ast.Constant) else None
    return found


def _described(body: Iterable[ast.stmt]) -> Iterator[str]:
    """What the schemas in a class say of the whole."""
    for each in body:
        match each:
            case ast.Assign([ast.Name("config_schema")], ast.Dict(keys, values)):
                for key, value in zip(keys, values, strict=True):
                    match key, value:
                        case ast.Constant("description"), ast.Constant(str(text)):
                            yield text


def _in_schema(entries: Sequence[tuple[ast.expr | None, ast.expr]]) -> Iterator[tuple[str, str]]:
    """What a JSON schema with a title says to people: the admin makes forms of those of kinds."""
    known = {key.value if isinstance(key, ast.Constant) else "type": value for key, value in entries}
    texts = [known.get(name) for name in ("title", "description")]
    if isinstance(texts[0], ast.Constant) and known.keys() & {"type", "enum"}:
        yield from ((str(each.value), "") for each in texts if isinstance(each, ast.Constant))


def _in_template(source: str) -> Iterator[tuple[str, str]]:
    for text, plural in _CALL.findall(templatize(source)):
        yield ast.literal_eval(text), ast.literal_eval(plural) if plural else ""


def main() -> None:
    """Write the catalogs of all apps, and compile them."""
    for app in APPS:
        said = said_in(app)
        for language, plurals in LANGUAGES.items():
            path = catalog_of(app, language)
            before = {entry.msgid: entry for entry in polib.pofile(path)} if path.exists() else {}
            catalog = polib.POFile(wrapwidth=110)
            catalog.metadata = {
                "Project-Id-Version": "lingstream",
                "Language": language,
                "MIME-Version": "1.0",
                "Content-Type": "text/plain; charset=UTF-8",
                "Content-Transfer-Encoding": "8bit",
                "Plural-Forms": plurals,
            }
            catalog.extend(
                _entry(before.get(text), text, said[text], language) for text in _ordered(said, before)
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            catalog.save(str(path))
            catalog.save_as_mofile(str(path.with_suffix(".mo")))


def _ordered(said: Iterable[str], before: Iterable[str]) -> list[str]:
    """What is there stays in its order, wherever its module has gone; what is new follows its neighbour."""
    spoken = dict.fromkeys(said)
    found = [text for text in before if text in spoken]
    known, last = set(found), -1
    for text in spoken:
        if text in known:
            last = found.index(text)
        else:
            last += 1
            found.insert(last, text)
    return found


def _entry(before: polib.POEntry | None, text: str, plural: str, language: str) -> polib.POEntry:
    if language == "en":
        forms = {0: text, 1: plural} if plural else {}
        return polib.POEntry(
            msgid=text, msgid_plural=plural, msgstr="" if plural else text, msgstr_plural=forms
        )
    said = (before.msgstr or before.msgstr_plural.get(0, "")) if before else ""
    forms = {0: said} if plural else {}
    return polib.POEntry(msgid=text, msgid_plural=plural, msgstr="" if plural else said, msgstr_plural=forms)


if __name__ == "__main__":
    main()
