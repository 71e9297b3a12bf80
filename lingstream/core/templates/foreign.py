"""What Jinja2 says of a template, as phrases: it is shown to editors as our own messages are."""

from __future__ import annotations

from jinja2 import TemplateSyntaxError

from lingstream.core.phrases import Phrase, phrased

__all__ = ["of_jinja"]

# Of two that fit, the longer one first.
_KNOWN = (
    Phrase("unexpected end of template, expected %(wanted)s."),
    Phrase("Expected an expression, got %(got)s"),
    Phrase("expected token %(wanted)s, got %(got)s"),
    Phrase("unexpected %(got)s, expected %(wanted)s"),
    Phrase("unexpected char %(got)s at %(place)s"),
    Phrase("unexpected %(got)s"),
    Phrase("chunk after expression"),
    Phrase("tag name expected"),
    Phrase("expected call"),
    Phrase("expected name or number"),
    Phrase("expected subscript expression"),
    Phrase("invalid syntax for function call expression"),
    Phrase("Invalid character in identifier"),
    Phrase("Missing end of comment tag"),
    Phrase("Missing end of raw directive"),
    Phrase("You cannot chain multiple tests with is"),
    Phrase("can't assign to '%(name)s'"),
    Phrase("No filter named '%(name)s'."),
    Phrase("No test named '%(name)s'."),
    Phrase(
        "Unexpected end of template. Jinja was looking for the following tags: %(tags)s. The innermost block "
        "that needs to be closed is '%(block)s'."
    ),
    Phrase(
        "Encountered unknown tag '%(name)s'. Jinja was looking for the following tags: %(tags)s. The "
        "innermost block that needs to be closed is '%(block)s'."
    ),
    Phrase(
        "Encountered unknown tag '%(name)s'. You probably made a nesting mistake. Jinja is expecting this "
        "tag, but currently looking for %(tags)s. The innermost block that needs to be closed is '%(block)s'."
    ),
    Phrase("Encountered unknown tag '%(name)s'."),
    Phrase("'%(type)s' has no attribute '%(name)s'"),
    Phrase("%(type)s has no element %(name)s"),
    Phrase("'%(name)s' is undefined"),
    Phrase("access to attribute '%(name)s' of '%(type)s' object is unsafe."),
    Phrase("unsupported operand type(s) for %(operator)s: '%(left)s' and '%(right)s'"),
    Phrase("'%(type)s' object is not callable"),
    Phrase("division by zero"),
    # What it calls the parts of a template, in the place of a value.
    Phrase("'end of print statement'"),
    Phrase("'end of statement block'"),
    Phrase("'end of template'"),
)


def of_jinja(error: Exception) -> str:
    """Return what an error says as a phrase; as it is, if it is none of those that editors mostly see."""
    said = error.message if isinstance(error, TemplateSyntaxError) else str(error)  # str() names its line
    return phrased(said or type(error).__name__, _KNOWN)
