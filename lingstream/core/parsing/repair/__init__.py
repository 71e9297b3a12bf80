"""The repairing parser: complete, character by character, written to be followed and not to be fast.

``fastpath`` reads valid JSON on its own. Where it meets something else it has :class:`Repairer` take a step:
one token is read, in whatever state the document is. With the text at its end, steps are taken until all of
it is used up.

Where a repair lives, with the kinds that ``.repairs`` names (``docs/repair.md`` has examples of each):

===========  =====================================================================================
beginning    up to the first character of the document: *prose, fence, brace, escaped-document, comment*
structure    between keys and values, and behind the document: *white-space, comment, ellipsis, comma,
             colon, value, bracket, junk, trailing, cut*
keys         keys, quoted and bare: *quotes, inner-quote, unquoted, control-character, escape, surrogate,
             junk, cut*
strings      values in quotes, and their escapes: *quotes, inner-quote, concatenation,
             control-character, escape, surrogate, bracket, cut*
scalars      values without quotes: *literal, number, overflow, unquoted, quotes, call, surrogate, cut*
delimiters   repairs nothing; says whether a quote, a comma or a closing bracket is a delimiter
lookahead    repairs nothing; says what follows, where that decides a doubt
===========  =====================================================================================

``<think>`` (*reasoning*) is one folder up, in ``preamble``: text and HTML have it too.

What holds in all of them, and what a new repair has to keep:

1. ``delimiters`` and ``lookahead`` use up no text and emit nothing: the others ask them, and act.
2. An answer depends on the text alone, never on how it was cut: who needs one more character waits for it.
3. No question reaches further than :data:`LOOKAHEAD` characters; a doubt that lasts longer is decided as if
   the text ended there. Only a document that is one string is held back as a whole.
4. A repair is noted before anything of it is emitted: in strict mode the note raises.
5. What was emitted is taken back in two cases, by a ``fix``: of a string that lost its closing quote, and of
   an array's item that turns out to be the next key.
"""

from __future__ import annotations

from .structure import Repairer, State

__all__ = ["Repairer", "State"]
