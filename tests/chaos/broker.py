"""The broker of the chaos suite, as the documentation shows it."""

import os

from taskiq_redis import RedisStreamBroker

__all__ = ["broker"]

# maxlen: acknowledged messages stay in the stream; the lock's time-out: a worker may die with the lock.
broker = RedisStreamBroker(os.environ["CHAOS_REDIS"], maxlen=10_000, unacknowledged_lock_timeout=5)
