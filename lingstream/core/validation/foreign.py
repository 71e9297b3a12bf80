"""What is said of values and of schemas that do not fit, as phrases: editors read it in the admin.

Most of it is the engine's. A value is judged far more often than a person reads why it was refused, so a
failure keeps the text, and it is taken apart here.
"""

from __future__ import annotations

from lingstream.core.phrases import Phrase, phrased

__all__ = ["of_engine"]

_KNOWN = (
    Phrase("%(value)s is not of type %(type)s"),
    Phrase("%(value)s is not of types %(types)s"),
    Phrase("%(value)s is greater than the maximum of %(most)s"),
    Phrase("%(value)s is less than the minimum of %(least)s"),
    Phrase("%(value)s is greater than or equal to the maximum of %(most)s"),
    Phrase("%(value)s is less than or equal to the minimum of %(least)s"),
    Phrase("%(value)s is not a multiple of %(number)s"),
    Phrase("%(value)s is not one of %(known)s"),
    Phrase("%(value)s was expected"),
    Phrase("%(value)s is shorter than 1 character"),
    Phrase("%(value)s is shorter than %(least)s characters"),
    Phrase("%(value)s is longer than 1 character"),
    Phrase("%(value)s is longer than %(most)s characters"),
    Phrase("%(value)s does not match %(pattern)s"),
    Phrase("%(value)s has less than 1 item"),
    Phrase("%(value)s has less than %(least)s items"),
    Phrase("%(value)s has more than 1 item"),
    Phrase("%(value)s has more than %(most)s items"),
    Phrase("%(value)s has less than 1 property"),
    Phrase("%(value)s has less than %(least)s properties"),
    Phrase("%(value)s has more than 1 property"),
    Phrase("%(value)s has more than %(most)s properties"),
    Phrase("%(value)s has non-unique elements"),
    Phrase("the items are not unique"),
    Phrase("Additional properties are not allowed (%(names)s was unexpected)"),
    Phrase("Additional properties are not allowed (%(names)s were unexpected)"),
    Phrase("%(name)s is a required property"),
    Phrase("the name %(name)s is not allowed"),
    Phrase("%(value)s contains %(found)s items of the kind that is counted"),
    Phrase("%(value)s fits none of the %(number)s schemas in %(keyword)s"),
    Phrase("%(value)s fits %(found)s of the schemas in oneOf, expected one"),
    Phrase("%(value)s is what the schema's not excludes"),
    Phrase("%(value)s does not fit the schema here"),
    Phrase("%(value)s is not valid under any of the schemas listed in the '%(keyword)s' keyword"),
    Phrase("Pointer '%(pointer)s' does not exist"),
    Phrase(
        "Unknown meta-schema: '%(uri)s'. Custom meta-schemas must be registered in the registry before use"
    ),
    # How a value is called that is too long to be shown.
    Phrase("a list of %(number)s items"),
    Phrase("an object with %(number)s keys"),
)


def of_engine(message: str) -> str:
    """Return what the engine, or a :class:`Failure`, says as a phrase; as it is, if it is none of these."""
    return phrased(message, _KNOWN)
