"""The engine: a plan and an input become frames of a run log.

Read in this order: ``plan`` (what to do), ``kinds`` (what a step can do), ``step`` (one execution of one,
with ``calls``, ``writer``, ``values``, ``frames`` and ``events`` as its parts), ``bot`` and ``inline`` (the
kinds that the engine has itself), ``triggers`` with ``rendering`` and ``joins`` (what starts when), ``host``,
``authoring`` and ``run`` (all of it together), ``group`` (how it ends), ``epoch`` and ``journal`` (how it
goes on after a crash). ``graph`` with ``nodes``, ``writes`` and ``reach`` judges plans before anything runs.

1. A step run goes along the table of :mod:`lingstream.core.lifecycle`, and ends once.
2. What is said is written before anybody is told: ops, then their events, then ``inference-done``;
   ``response`` when the log holds all of it and the journal the result.
3. A call that has finished under the same key is played back and not made. One that is made waits until the
   log is open for this epoch: so nobody acts in the name of a run that is another's by now.
4. A try is made again only if nothing was said in it.
5. A failure is its step's alone. Limits, a later epoch and a cancel end the run.
6. What one source starts begins in the order in which it was started, with numbers that do not depend on
   threads (:mod:`.triggers`).
7. Executed again, a run makes the same calls in the same order as far as models gave the same: what a step is
   asked depends on the plan, the input and what was said, never on the clock or on chance. The exception is
   what a template takes from ``document``: that is as far as it has come at that moment.
"""
