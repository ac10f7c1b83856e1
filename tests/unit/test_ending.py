"""Ending what runs: a part that fails keeps no other from ending."""

from __future__ import annotations

import threading

from structlog.testing import capture_logs

from services.ingestion.duties import Loop
from shared.broker import BrokerUnavailable
from shared.ending import end_each


class Failing:
    """A duty that cannot give up what it holds."""

    def __init__(self, error: Exception) -> None:
        self.name = f"failing by {type(error).__name__}"
        self._error = error
        self.stepped = threading.Event()

    def step(self) -> float:
        """One was done."""
        self.stepped.set()
        return 0.01

    def stop(self) -> None:
        """Fails."""
        raise self._error


def test_every_part_is_ended_in_order_whatever_becomes_of_another() -> None:
    ended: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    with capture_logs() as lines:
        end_each(lambda: ended.append(1), fail, lambda: ended.append(2), fail, lambda: ended.append(3))

    assert ended == [1, 2, 3]
    assert [line["event"] for line in lines] == ["ending.failed"] * 2
    assert lines[0]["what"].endswith("fail")


def test_a_duty_that_cannot_be_stopped_is_told_of_and_its_thread_ends() -> None:
    duties = [Failing(BrokerUnavailable("away")), Failing(ValueError("no"))]
    loops = [Loop(duty) for duty in duties]

    with capture_logs() as lines:
        for loop in loops:
            loop.start()
        for duty in duties:
            assert duty.stepped.wait(30)
        for loop in loops:
            loop.end()
        for loop in loops:
            loop.join()

    told = {line["duty"]: line["log_level"] for line in lines if line["event"] == "duty_not_stopped"}
    assert told == {"failing by BrokerUnavailable": "warning", "failing by ValueError": "error"}
