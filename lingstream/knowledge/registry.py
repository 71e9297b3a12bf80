"""The site's own rows as documents: ``index(Article, …)`` in an app's ``knowledge.py``.

What is saved is asked for in the transaction that saves it, and what is deleted goes with it. What sends no
signal (``bulk_create``, ``update()``, SQL) is found by the next pass over the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model, Q, QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save

from lingstream.core.exceptions import UsageError
from lingstream.execution.away import AWAY

from .asking import ask, ask_again, forget
from .models import Collection, Source, Sync
from .sources.models import Models
from .sources.port import Content

__all__ = [
    "Indexed",
    "declare",
    "declare_after_migrate",
    "declared",
    "index",
    "is_restricted",
    "keys_there",
    "visible_keys",
]

#: A name of an attribute or of a method without arguments, or a function of the row.
Part: TypeAlias = str | Callable[[Any], Any]

_EVERY = 3_600
_LONGEST_SLUG = 100


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the site says of one of its models; see :func:`index`."""

    slug: str
    model: type[Model]
    collection: str
    text: Sequence[Part]
    title: Part | None
    url: Part | None
    owner: Part | None
    scope: Part | None
    metadata: Part | None
    only: Q
    visible_to: Callable[[Any], QuerySet[Any]] | None
    updated_field: str
    every: int

    @property
    def rows(self) -> QuerySet[Any]:
        """The rows that are documents."""
        return self.model._base_manager.filter(self.only)

    def find(self, key: str) -> Any:
        """Return the row with this key, or ``None``."""
        return self.rows.filter(pk=pk).first() if (pk := self.pk_of(key)) is not None else None

    def pk_of(self, key: str) -> Any:
        """Return the primary key that a document's key is; ``None``: no row has it."""
        try:
            return self.model._meta.pk.to_python(key)
        except ValidationError:
            return None

    def content(self, row: Any) -> Content:
        """Return a row as a document."""
        owner, scope = _part(row, self.owner), _part(row, self.scope)
        texts = (_part(row, each) for each in self.text)
        content = Content(
            body="\n\n".join(str(text) for text in texts if text),
            mime="text/markdown",
            url=str(_part(row, self.url) or ""),
            title=str(_part(row, self.title) or ""),
            metadata=_part(row, self.metadata) or {},
            owner_id=getattr(owner, "pk", owner),
            scope=None if scope is None else str(scope),
            modified=self.modified(row),
        )
        return content if self.updated_field else replace(content, etag=content.digest())

    def modified(self, row: Any) -> str:
        """Return what tells of a row's change, if the site has named it."""
        return str(getattr(row, self.updated_field)) if self.updated_field else ""


_declared: dict[str, Indexed] = {}


def index(
    model: type[Model],
    *,
    collection: str,
    text: Part | Sequence[Part],
    title: Part | None = None,
    url: Part | None = None,
    owner: Part | None = None,
    scope: Part | None = None,
    metadata: Part | None = None,
    only: Q | None = None,
    visible_to: Callable[[Any], QuerySet[Any]] | None = None,
    updated_field: str = "",
    every: int = _EVERY,
    slug: str = "",
) -> Indexed:
    """Have the rows of a model be documents of a collection, and stay so.

    A part of a row is named (an attribute, or a method without arguments), or is a function of the row.

    :param collection: its slug; it is made, for signed-in users, if there is none.
    :param text: what is searched, Markdown; several follow each other.
    :param url: where a person opens it; ``get_absolute_url`` unless given.
    :param owner: the user, or the key of one, who alone may find it; ``None``: it is everybody's.
    :param scope: the tenant; the source's unless given.
    :param metadata: JSON data that searches may narrow by, an object.
    :param only: which rows are documents.
    :param visible_to: returns the rows that a user may see; asked again whenever something is found.
    :param updated_field: a field that differs after each change: passes then read what has changed only.
    :param every: seconds between two passes, which find what sent no signal.
    :param slug: of the source; collection and model unless given.
    :raises UsageError: another model has that slug.
    """
    name = (slug or f"{collection}-{model._meta.model_name}")[:_LONGEST_SLUG]
    indexed = Indexed(
        slug=name,
        model=model,
        collection=collection,
        text=[text] if isinstance(text, str) or callable(text) else list(text),
        title=title,
        url=url or ("get_absolute_url" if hasattr(model, "get_absolute_url") else None),
        owner=owner,
        scope=scope,
        metadata=metadata,
        only=only if only is not None else Q(),
        visible_to=visible_to,
        updated_field=updated_field,
        every=every,
    )
    known = _declared.setdefault(name, indexed)
    if known.model._meta.label != model._meta.label:
        raise UsageError(f"the source {name!r} is that of {known.model._meta.label} already")
    _declared[name] = indexed
    _listen(model)
    return indexed


def declared() -> dict[str, Indexed]:
    """Return what apps have declared, by the slug of its source."""
    return dict(_declared)


def declare(indexed: Indexed) -> Source:
    """Return the row of a declared source, with its collection; both are made where they are not there."""
    source = Source.objects.filter(slug=indexed.slug).first()
    if source is None:
        collection, _ = Collection.objects.get_or_create(slug=indexed.collection)
        given = {
            "collection": collection,
            "kind": Models.kind,
            "every": indexed.every,
            "max_documents": 1_000_000,
        }
        source, _ = Source.objects.get_or_create(slug=indexed.slug, defaults=given)
    return source


def declare_after_migrate(sender: Any, using: str, apps: Any = None, **kwargs: Any) -> None:
    """Receive ``post_migrate``: what apps declare has its rows, once there are the newest tables for them."""
    if using == router.db_for_write(Source) and (apps is None or _is_newest(apps)):
        for indexed in _declared.values():
            declare(indexed)


def is_restricted(slug: str, kind: str) -> bool:
    """Whether the site is asked who may see what a source has found.

    So it is of rows that no app declares any more, under this slug: who may see them is not known, and nobody
    does.
    """
    indexed = _declared.get(slug)
    return bool(indexed.visible_to) if indexed else kind == Models.kind


def visible_keys(slug: str, keys: Iterable[str], user: Any) -> set[str]:
    """Return those of ``keys`` that a user may see by what the site says of the model, in one query.

    :param slug: of a source that :func:`is_restricted`.
    """
    indexed = _declared.get(slug)
    if indexed is None:
        return set()
    if indexed.visible_to is None:
        return set(keys)
    return _among(indexed, keys, indexed.visible_to(user).filter(indexed.only))


def keys_there(source: Source, keys: Iterable[str]) -> set[str]:
    """Return those of ``keys`` whose rows are there, in one query; of what are no rows of a model all.

    None, if their database does not answer: it need not be ours.
    """
    if source.kind != Models.kind or (indexed := _declared.get(source.slug)) is None:
        return set(keys)
    try:
        return _among(indexed, keys, indexed.rows)
    except AWAY:
        return set()


def _among(indexed: Indexed, keys: Iterable[str], rows: QuerySet[Any]) -> set[str]:
    pks = [pk for key in keys if (pk := indexed.pk_of(key)) is not None]
    return {str(pk) for pk in rows.filter(pk__in=pks).values_list("pk", flat=True)}


def _is_newest(apps: Any) -> bool:
    try:
        there = [apps.get_model("lingstream_knowledge", each.__name__) for each in (Collection, Source)]
    except LookupError:
        return False
    names = [{field.name for field in model._meta.fields} for model in (*there, Collection, Source)]
    return names[:2] == names[2:]


def _part(row: Any, part: Part | None) -> Any:
    if part is None:
        return None
    found = getattr(row, part) if isinstance(part, str) else part(row)
    return found() if isinstance(part, str) and callable(found) else found


def _listen(model: type[Model]) -> None:
    """Hear of a model's rows, also where they come by a proxy of it, or by a model that inherits from it."""
    for each in _family(model._meta.concrete_model or model):
        post_save.connect(_saved, sender=each, dispatch_uid="lingstream.knowledge")
        post_delete.connect(_deleted, sender=each, dispatch_uid="lingstream.knowledge")
    for field in model._meta.many_to_many:
        m2m_changed.connect(_related, sender=field.remote_field.through, dispatch_uid="lingstream.knowledge")


def _saved(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    for indexed in _of(sender):
        ask(declare(indexed), [_key(indexed, instance)], Sync.Trigger.MODEL, using=using)


def _deleted(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Receive ``post_delete``; a pass that still sees the row before the commit may list it anew."""
    for indexed in _of(sender):
        source, keys = declare(indexed), [_key(indexed, instance)]
        forget(source, keys)
        then = partial(ask_again, source, keys, Sync.Trigger.MODEL)
        transaction.on_commit(then, using=using, robust=True)


def _related(
    sender: type[Model],
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """Receive ``m2m_changed``; from the other side it names the rows, unless all are taken away at once."""
    if not action.startswith("post_"):
        return
    for indexed in _declared.values():
        throughs = {field.remote_field.through for field in indexed.model._meta.many_to_many}
        keys = pk_set or () if reverse else [instance.pk]
        if sender in throughs and keys:
            ask(declare(indexed), [str(key) for key in keys], Sync.Trigger.MODEL, using=using)


def _of(model: type[Model]) -> list[Indexed]:
    return [
        each
        for each in _declared.values()
        if issubclass(model, each.model._meta.concrete_model or each.model)
    ]


def _family(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for each in model.__subclasses__():
        yield from _family(each)


def _key(indexed: Indexed, row: Model) -> str:
    return str(getattr(row, indexed.model._meta.pk.attname))
