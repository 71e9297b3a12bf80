"""Who searches, and where they may.

1. All of it comes from who asks and from the collections' rows; what is asked for only narrows it.
2. Where somebody may not search, nothing is found: that is no error, as a bot searches for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import Exists, OuterRef, QuerySet, Value

from lingstream.access import identity
from lingstream.core.engine import kinds
from lingstream.core.exceptions import NotFound, UsageError
from lingstream.core.phrases import Phrase
from lingstream.models.owned import owner_key
from lingstream.models.prepared import Joined, Prepared

from .models import Collection
from .stores.bounds import Bounds, Place, Scalar

__all__ = ["Asker", "Identity", "Room", "asker_of", "room_of"]

#: Who sends a request, or who has started a run.
Identity: TypeAlias = "identity.Identity | kinds.Identity"

_PERMISSION = "lingstream_knowledge.search_collection"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who searches.

    :param user_id: ``None``: a visitor.
    :param scope: the tenant; ``None``: a superuser of all of them.
    :param known: the user, if it was loaded already.
    :param trusted: the site's own code asks, which has decided already: any collection may be searched.
    """

    user_id: Any = None
    scope: str | None = ""
    known: Any = None
    trusted: bool = False

    def user(self) -> Any:
        """Return the user; a query, unless it is known."""
        if self.known or self.user_id is None:
            return self.known or AnonymousUser()
        return get_user_model()._default_manager.filter(pk=self.user_id).first() or AnonymousUser()

    def place(self, collection: Collection) -> Place | None:
        """Return what may be found in a collection of :func:`room_of`; ``None``: nothing."""
        if not (self.trusted or self._may_search(collection)):
            return None
        own = () if self.user_id is None else (owner_key(self.user_id, ""),)
        others = () if collection.access == Collection.Access.OWN else ("",)
        return Place(collection.pk, None if collection.shared else self.scope, (*others, *own))

    def _may_search(self, collection: Collection) -> bool:
        access = Collection.Access(collection.access)
        if access == Collection.Access.ANYONE:
            return True
        if self.user_id is None:
            return False
        if access == Collection.Access.GROUPS:
            return bool(getattr(collection, "is_member", False))
        return access != Collection.Access.PERMISSION or bool(self.user().has_perm(_PERMISSION))


def asker_of(who: Identity | None) -> Asker:
    """Return who searches; ``None`` is a visitor whom nobody knows."""
    if who is None:
        return Asker()
    if isinstance(who, kinds.Identity):
        return Asker(who.user or None, who.scope)
    return Asker(who.owner_id, who.scope, who.user if who.owner_id is not None else None, who.trusted)


@dataclass(frozen=True, slots=True)
class Room:
    """Where is searched.

    :param collections: those that were asked for.
    :param places: what may be found there, by the keys of those that may be searched.
    """

    asker: Asker
    collections: Sequence[Collection]
    places: Mapping[int, Place]
    where: Mapping[str, Sequence[Scalar]]

    @property
    def open(self) -> list[Collection]:
        """The collections that may be searched."""
        return [each for each in self.collections if each.pk in self.places]

    @property
    def bounds(self) -> Bounds:
        """What may be found in them."""
        return Bounds([*self.places.values()], self.where)

    def keeps_out(self, row: Any) -> str:
        """Return why a passage is not to be found, by its document's row: ``access``, ``scope``, ``owner`` or
        ``where``; ``""`` if it is.

        :param row: of :data:`~.hits.HIT_COLUMNS`.
        """
        place = self.places.get(row.collection_id)
        # A source that was moved is none of the old collection's, whatever its passages say until a pass.
        if place is None or row.document__source__collection_id != row.collection_id:
            return "access"
        kept_out = place.keeps_out(row.document__scope, row.document__owner_key)
        return kept_out or ("" if self.bounds.has(row.document__metadata) else "where")


def room_of(slugs: Sequence[str], asker: Asker, where: Mapping[str, Sequence[Scalar]]) -> Room:
    """Return where is searched: one query, and what a permission costs.

    :raises NotFound: there is no such collection.
    :raises UsageError: ``where`` names what one of them is not narrowed by.
    """
    known = _collections(slugs, asker)
    if missing := [slug for slug in slugs if slug not in known]:
        raise NotFound(Phrase("there is no collection %(name)s", name=repr(missing[0][:100])))
    found = [known[slug] for slug in dict.fromkeys(slugs)]
    for collection in found:
        if unknown := sorted(where.keys() - set(collection.narrow_by)):
            message = Phrase(
                "expected names that %(collection)s is narrowed by (%(known)s), got %(got)s",
                collection=collection.slug,
                known=", ".join(map(str, collection.narrow_by)) or Phrase("none"),
                got=f"{unknown[0]!r:.80}",
            )
            raise UsageError(message, code="where")
    places = {each.pk: place for each in found if (place := asker.place(each))}
    return Room(asker, found, places, where)


def _collections(slugs: Sequence[str], asker: Asker) -> dict[str, Collection]:
    """Those that there are, with their embedders, and whether who asks is in one of their groups."""
    who = [] if asker.user_id is None or not _users_have_groups() else [_key(asker.user_id)]
    alias = router.db_for_read(Collection)
    found = {}
    for *row, is_member in _rows.rows([*dict.fromkeys(slugs)], who):
        collection = _joined.made(alias, row)
        collection.is_member = is_member
        found[collection.slug] = collection
    return found


def _asked(slugs: Sequence[str], who: Sequence[Any]) -> QuerySet[Collection, tuple[Any, ...]]:
    is_member: Any = Value(False)
    if who:
        groups = get_user_model()(pk=who[0]).groups.values("pk")
        members = Collection.groups.through.objects.filter(collection=OuterRef("pk"), group__in=groups)
        is_member = Exists(members)
    asked = Collection.objects.filter(slug__in=slugs).order_by()
    return asked.annotate(is_member=is_member).values_list(*_joined.names, "is_member")


_joined = Joined(Collection, "embedder", "embedder__provider")
_rows = Prepared(Collection, _asked)


def _key(user_id: Any) -> Any:
    """A user's key as its field has it; a run knows it as a text."""
    return get_user_model()._meta.pk.to_python(user_id)


def _users_have_groups() -> bool:
    """Whether they do; a site's own user model need not."""
    try:
        return bool(get_user_model()._meta.get_field("groups").many_to_many)
    except FieldDoesNotExist:
        return False
