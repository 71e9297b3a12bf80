"""What wakes the workers, as the documentation shows it."""

import os

from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(os.environ["BENCH_REDIS"], maxlen=10_000)
