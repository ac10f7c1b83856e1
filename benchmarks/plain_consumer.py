"""A consumer that decides nothing: takes batches from the partitions as the worker does, and acknowledges them."""

from __future__ import annotations

import gc
import json
import os
import sys
import time

from contracts.topology import partition_queue
from services.trigger.worker import BATCH, IDLE_WAIT
from shared.broker import connect_broker
from shared.clock import SystemClock, stopwatch
from shared.settings import Settings


def main() -> None:
    """Consume as many messages as the argument says; prints seconds and processor time between first and last."""
    count = int(sys.argv[1])
    gc.set_threshold(100_000, 50, 50)
    settings = Settings.from_environment(os.environ)
    broker = connect_broker(settings.broker_url, SystemClock())
    consumer = broker.consumer([partition_queue(n) for n in range(settings.partitions)], prefetch=4 * BATCH)
    taken = first = 0
    began = used = 0.0
    while taken < count:
        deliveries = consumer.receive(BATCH, IDLE_WAIT)
        if deliveries:
            taken += len(deliveries)
            consumer.ack(deliveries[-1])
        if not first and taken:
            first, began, used = taken, stopwatch(), time.process_time()
    seconds, processor = stopwatch() - began, time.process_time() - used
    consumer.drop()
    print(json.dumps({"messages": taken - first, "seconds": seconds, "processor": processor}))


if __name__ == "__main__":
    main()
