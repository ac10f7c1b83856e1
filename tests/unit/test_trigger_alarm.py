"""The alarm rings for every time that it was set to, whatever a wake-up in hand is doing."""

from __future__ import annotations

import threading

from contracts.times import SECOND
from services.trigger.alarm import Alarm
from shared.clock import SystemClock


def test_a_ring_during_a_wake_up_is_neither_lost_nor_the_last() -> None:
    clock = SystemClock()
    rings = threading.Semaphore(0)
    busy, go_on = threading.Event(), threading.Event()

    def wake() -> None:
        busy.set()
        go_on.wait(60)
        rings.release()

    alarm = Alarm(clock, wake, lambda: None, lambda: None, every=3600)
    alarm.start()
    try:
        alarm.at(clock.now())
        assert busy.wait(60)
        alarm.at(clock.now())
        threading.Event().wait(0.2)  # it comes due while the wake-up is in hand
        go_on.set()
        assert rings.acquire(timeout=60)
        assert rings.acquire(timeout=60), "the second alarm was lost"

        alarm.at(clock.now() + SECOND // 50)
        assert rings.acquire(timeout=60), "no later alarm is set any more"
    finally:
        go_on.set()
        alarm.stop()


def test_a_wake_up_that_fails_does_not_silence_the_next() -> None:
    clock = SystemClock()
    rings = threading.Semaphore(0)

    def wake() -> None:
        rings.release()
        raise RuntimeError("the database is away")

    alarm = Alarm(clock, wake, lambda: None, lambda: None, every=3600)
    alarm.start()
    try:
        for _ in range(2):
            alarm.at(clock.now())
            assert rings.acquire(timeout=60)
            threading.Event().wait(0.05)
    finally:
        alarm.stop()
