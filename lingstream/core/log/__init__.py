"""The log of a run: its frames, the state that they give, and who keeps it.

``frames`` and ``state`` are values; ``buffer`` keeps them and ``reader`` is a cursor in it: of these two, a
log is made. ``ports`` says what a log and a hub are, ``memory`` has those of one process. What holds of every
log, wherever it is kept (:class:`lingstream.testing.HubContract` has it as a test suite):

1. A frame has an id ``<epoch>-<seq>``, seq from 1 without gaps in each epoch; a merged one that of its last.
2. Every epoch opens with a snapshot frame. It is a fence: who writes in an earlier epoch changes nothing from
   then on. And it is a reset: every reader gets it before anything else of that epoch.
3. Exactly one ``done`` ends a log, and nothing follows it.
4. The state is the fold of all frames. What a reader folds comes to the same, wherever it joined.
5. A reader holds a cursor, never a queue: the writer never waits, and a log keeps at most ``2 * max_frames``
   frames, however many readers there are and however slow they are.
6. Who is behind gets the frames in between merged, where no event overtakes the ops that it speaks of, or a
   snapshot where that is shorter: events and errors in between are in it only as far as the state has them.
7. A place that is unknown, trimmed or of an earlier epoch gets one snapshot and the tail, never silence.
8. Log before deliver: readers get what the log's store has, so that every process can go on from there. Where
   the store fails they are told so, by an event ``resumable`` that is no entry of the log.
9. A frame that was read does not change any more. Giving up on a read loses nothing.
"""
