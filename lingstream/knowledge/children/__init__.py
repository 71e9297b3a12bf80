"""Processes that work on what strangers wrote, with code that a text may crash, and may be lost.

1. What goes there and what comes back is data, and bounded; nothing that a child says is executed.
2. A child has no environment of its parent's but the way to its modules, so no keys; it is asked to connect
   to nobody, to start nothing and to write no file, and its memory and seconds of computing are bounded.
3. It ends when its input does, so with its parent.

That is no cage for code that somebody has taken over: it is the parent's user. What it bounds is a crash, a
hang and a bomb.
"""
