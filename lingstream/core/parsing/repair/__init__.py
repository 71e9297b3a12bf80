"""The repairing parser: complete, character by character, written to be followed and not to be fast.

``fastpath`` reads valid JSON on its own. Where it meets something else it has :class:`Repairer` take a step:
one token is read, in whatever state the document is. With the text at its end, steps are taken until all of
it is used up.

Where a repair lives, with the kinds that ``.repairs`` names (``docs/repair.md`` has examples of each):

===========  =====================================================================================
beginning    up to the first character of the document: *prose, fence, brace, escaped-document, white-space,
             comment*
structure    between keys and values, and behind the document: *white-space, comment, ellipsis, comma,
             colon, value, bracket, junk, trailing, cut*
keys         keys, quoted and bare: *quotes, inner-quote, unquoted, control-character, escape, surrogate,
             junk, cut*
strings      values in quotes, and their escapes: *quotes, inner-quote, concatenation,
             control-character, escape, surrogate, bracket, junk, cut*
scalars      values without quotes: *literal, number, overflow, unquoted, quotes, call, surrogate, cut*
delimiters   repairs nothing; says whether a quote, a comma or a closing bracket is a delimiter
remarks      repairs nothing; says what stands between a string and its comma, and is no text
reopening    repairs nothing; says whether a container that was closed goes on, or one begins without bracket
values       repairs nothing; reads whole values ahead, up to the bracket that decides a doubt
lookahead    repairs nothing; says what follows, where that decides a doubt
inside       repairs nothing; counts the brackets and quotes that the open string has opened, and says what
             may be its end
state        repairs nothing; what the document wants next
===========  =====================================================================================

``<think>`` (*reasoning*) is one folder up, in ``preamble``: text and HTML have it too.

What holds in all of them, and what a new repair has to keep:

1. ``delimiters``, ``remarks``, ``values`` and ``lookahead`` use up no text and emit nothing: the others ask
   them, and act.
2. An answer depends on the text alone, never on how it was cut: who needs one more character waits for it.
3. No question reaches further than :data:`LOOKAHEAD` characters; a doubt that lasts longer is decided as if
   the text ended there. Only a document that is one string is held back as a whole.
4. A repair is noted before anything of it is emitted: in strict mode the note raises.
5. What was emitted is taken back in two cases, by a ``fix``: of a string that lost its closing quote, and of
   an array's item that turns out to be the next key. A sign that may have closed a string is held back.
"""

from __future__ import annotations

from .inside import may_be_end, sign_at_end
from .reopening import LONGEST_FIRST_KEY
from .state import State
from .structure import Repairer

__all__ = ["LONGEST_FIRST_KEY", "Repairer", "State", "may_be_end", "sign_at_end"]
