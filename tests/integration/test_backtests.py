"""Back-tests as jobs: through REST, over a log on both databases, in the real process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, to_rfc3339
from services.trigger.backtesting.runner import KEPT, MOST_KEPT, SILENT
from services.trigger.store import backtests
from services.trigger.wiring import Trigger
from shared.clock import Clock
from shared.store import connected
from tests.integration.backtest_rig import SITE, Asker, cart_signal, draft, fill_log, know, shop, started
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until
from tests.support.processes import stretched

BACKTESTS = "/api/v1/backtests"


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        know(made.rows, shop(), draft())
        yield made


@pytest.fixture
def trigger(rig: Rig) -> Iterator[Trigger]:
    with started(rig.settings, rig.clock) as trigger:
        yield trigger


@pytest.fixture
def asker(trigger: Trigger) -> Asker:
    return Asker(trigger)


def begin(rig: Rig) -> int:
    """An hour of a day that is over and lies in the default period."""
    return rig.clock.now() // DAY * DAY - 2 * DAY + 10 * HOUR


def some_carts(at: int) -> list[Any]:
    """Ten carts: six left alone, of which one is bought a day later; three bought, one emptied."""
    signals = [cart_signal(n, f"u{n}@example.com", at + n * SECOND) for n in range(1, 11)]
    signals += [cart_signal(20 + n, f"u{n}@example.com", at + n * MINUTE, "cart/purchase") for n in (1, 2, 3)]
    signals.append(cart_signal(30, "u4@example.com", at + HOUR, "cart/clear"))
    signals.append(cart_signal(31, "u5@example.com", at + DAY, "cart/purchase"))
    return sorted(signals, key=lambda made: made[3])


def numbered(signals: list[Any]) -> list[Any]:
    """The signals in their order, with the places of a log that begins at 1."""
    return [(place, *rest) for place, (_, *rest) in enumerate(signals, start=1)]


def test_a_draft_is_run_over_the_recorded_signals(rig: Rig, asker: Asker) -> None:
    at = begin(rig)
    count = fill_log(rig.rows, numbered(some_carts(at)))

    job = asker.until(asker.ask(momentId="m1"), "done")

    assert job["progress"] == {**job["progress"], "total": count, "read": count, "replayed": count}
    assert job["request"]["settings"] == {"duration": "PT2H", "repeat": "on_change"}
    assert job["startedAt"] <= job["endedAt"]
    base = job["result"]["base"]
    assert (base["opened"], base["raised"], base["pending"]) == (10, 6, 0)
    assert base["ended"] == {"cart/clear": 1, "cart/purchase": 3}
    assert (base["recovered"], base["recoveredShare"]) == (1, 0.1667)
    assert base["profiles"] == {"decided": 6, "raised": 6}
    assert base["days"] == [{"day": to_rfc3339(at)[:10], "raised": 6, "suppressed": 0, "recovered": 1}]
    assert job["result"]["compared"] is None
    sample = base["samples"][0]
    assert sample["outcome"] == "raised"
    assert sample["timeline"][0]["effects"] == {"opened": 1}
    assert sample["timeline"][1]["outcome"] == "raised"
    assert sample["explanation"].startswith("/api/v1/explanations?moment=m1&profile=")


def test_two_settings_stand_side_by_side(rig: Rig, asker: Asker) -> None:
    at = begin(rig)
    fill_log(rig.rows, numbered(some_carts(at)))

    result = asker.result(
        momentId="m1",
        settings={"minimumValue": {"amount": 1, "currency": "EUR"}},
        compareWith={"duration": "PT30M"},
    )

    assert (result["base"]["raised"], result["compared"]["raised"]) == (6, 7)
    comparison = result["comparison"]
    assert {name: comparison[name] for name in ("inBoth", "inBothAtAnotherTime", "onlyInBase", "onlyInCompared")} == {
        "inBoth": 6,
        "inBothAtAnotherTime": 6,
        "onlyInBase": 0,
        "onlyInCompared": 1,
    }
    assert comparison["raises"]["onlyInCompared"] == [
        {
            "profile": {"idType": "email", "id": "u4@example.com"},
            "process": "k",
            "openedAt": to_rfc3339(at + 4 * SECOND),
            "dueAt": to_rfc3339(at + 30 * MINUTE + 4 * SECOND),
        }
    ]
    other = asker.result(momentId="m1", compareWith={"minimumValue": {"amount": 50, "currency": "EUR"}})
    assert other["compared"]["suppressed"] == {"minimum_value": 6}
    assert other["comparison"]["onlyInBase"] == 6
    assert {sample["outcome"] for sample in other["compared"]["samples"]} == {"minimum_value"}


def test_only_the_configurations_signals_of_the_period_count(rig: Rig, asker: Asker) -> None:
    at = begin(rig)
    signals = [
        cart_signal(1, "before@example.com", at - HOUR),
        cart_signal(2, "both@example.com", at - HOUR),
        cart_signal(3, "both@example.com", at + MINUTE, "cart/remove", price=1, products=0),
        cart_signal(4, "in@example.com", at + MINUTE),
        cart_signal(5, "other@example.com", at + MINUTE, configuration="c2"),
        cart_signal(6, "late@example.com", at + 5 * HOUR),
        cart_signal(7, "after@example.com", at + 7 * HOUR),
    ]
    fill_log(rig.rows, signals)

    result = asker.result(
        type="cart_abandon",
        audienceConfigurationId="c1",
        settings={"duration": "PT2H"},
        since=to_rfc3339(at),
        to=to_rfc3339(at + 6 * HOUR),
    )

    base = result["base"]
    assert (base["opened"], base["raised"], base["pending"]) == (3, 2, 1)
    assert {sample["profile"]["id"] for sample in base["samples"]} == {"both@example.com", "in@example.com"}


def test_an_empty_log_and_an_empty_period_give_nothing(rig: Rig, asker: Asker) -> None:
    empty = asker.result(momentId="m1")["base"]
    assert (empty["opened"], empty["raised"], empty["recoveredShare"], empty["days"]) == (0, 0, None, [])

    fill_log(rig.rows, [cart_signal(1, "ada@example.com", begin(rig))])
    since, until = rig.clock.now() - 2 * HOUR, rig.clock.now() - HOUR
    base = asker.result(momentId="m1", since=to_rfc3339(since), to=to_rfc3339(until))["base"]
    assert (base["opened"], base["raised"]) == (0, 0)


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["/momentId"]),
    ({"momentId": "m9"}, ["/momentId"]),
    ({"momentId": "m1", "type": "browse_abandon"}, ["/type"]),
    ({"type": "no_such"}, ["/audienceConfigurationId", "/type"]),
    ({"type": "cart_abandon"}, ["/audienceConfigurationId"]),
    ({"type": "cart_abandon", "audienceConfigurationId": "c9"}, ["/audienceConfigurationId"]),
    ({"momentId": "m1", "audienceConfigurationId": "c2"}, ["/audienceConfigurationId"]),
    ({"momentId": "m1", "settings": {"duration": "soon", "colour": 1}}, ["/settings/colour", "/settings/duration"]),
    ({"momentId": "m1", "settings": {"sites": [SITE, "evil.example"]}}, ["/settings/sites/1"]),
    ({"momentId": "m1", "compareWith": {"coolDown": "PT0S"}}, ["/compareWith/coolDown"]),
    ({"momentId": "m1", "from": "yesterday"}, ["/from"]),
    ({"momentId": "m1", "from": "2020-01-01T00:00:00Z"}, ["/from"]),
    ({"momentId": "m1", "to": "2090-01-01T00:00:00Z"}, ["/to"]),
    ({"momentId": "m1", "from": "2020-01-02T00:00:00Z", "to": "2020-01-01T00:00:00Z"}, ["/from"]),
    ({"momentId": "m1", "asItRan": True, "settings": {"duration": "PT1H"}}, ["/asItRan", "/settings"]),
    ({"type": "cart_abandon", "audienceConfigurationId": "c1", "asItRan": True}, ["/asItRan"]),
    ({"momentId": 7, "unknown": 1}, ["/momentId", "/unknown"]),
    ({"momentId": "\0"}, ["/momentId"]),
]


def test_a_wrong_request_names_every_fault(rig: Rig, asker: Asker) -> None:
    for fields, pointers in WRONG:
        problem = asker.call("POST", BACKTESTS, 422, fields)

        assert sorted({error["pointer"] for error in problem["errors"]}) == pointers, fields


def a_long_log(rig: Rig, count: int) -> None:
    """Carts of many profiles, enough for a job of some seconds."""
    at = begin(rig)
    fill_log(rig.rows, (cart_signal(n, f"u{n % 5_000}@example.com", at + n * 1_000) for n in range(1, count + 1)))


def running(rig: Rig, asker: Asker, job: str) -> int:
    """Wait until a job's process has told of itself; its process id."""
    wait_until(lambda: asker.job(job)["progress"]["read"] > 0 or asker.job(job)["state"] == "done", "progress", 30)
    assert asker.job(job)["state"] == "running"
    found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if job.encode() in _content(path)]
    assert len(found) == 1
    return int(found[0].parent.name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or b") Z " in _content(status)


def test_a_job_that_runs_is_cancelled_within_two_seconds_and_the_next_one_begins(rig: Rig, asker: Asker) -> None:
    a_long_log(rig, 60_000)
    job, waiting, following = asker.ask(momentId="m1"), asker.ask(momentId="m1"), asker.ask(momentId="m1")
    pid = running(rig, asker, job)
    assert asker.job(waiting)["state"] == "queued"
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10

    since = rig.clock.now()
    assert asker.call("POST", f"{BACKTESTS}/{waiting}/cancel", 200)["state"] == "cancelled"
    assert asker.call("POST", f"{BACKTESTS}/{job}/cancel", 200)["state"] == "cancelled"

    wait_until(lambda: gone(pid), "the process to be gone", 10)
    assert rig.clock.now() - since < stretched(2) * SECOND
    assert asker.call("POST", f"{BACKTESTS}/{job}/cancel", 200)["state"] == "cancelled"
    asker.until(following, "running", "done")
    assert asker.call("DELETE", f"{BACKTESTS}/{following}", 204) is None
    asker.call("GET", f"{BACKTESTS}/{following}", 404)
    asker.call("POST", f"{BACKTESTS}/{following}/cancel", 404)
    assert [job["state"] for job in asker.call("GET", BACKTESTS, 200)["items"]] == ["cancelled"] * 2


def test_a_job_goes_on_when_the_service_is_started_again(rig: Rig) -> None:
    a_long_log(rig, 40_000)
    with started(rig.settings, rig.clock) as trigger:
        asker = Asker(trigger)
        job = asker.ask(momentId="m1")
        pid = running(rig, asker, job)

    assert gone(pid)
    with connected(rig.database):
        assert backtests.job(rig.rows, job).state == "queued"  # type: ignore[union-attr]
    with started(rig.settings, rig.clock) as trigger:
        done = Asker(trigger).until(job, "done")
        assert done["result"]["base"]["raised"] == 5_000
        conflict = Asker(trigger).call("POST", f"{BACKTESTS}/{job}/cancel", 409)
        assert conflict["detail"] == "It is done."


def test_a_process_that_dies_is_started_once_more_and_then_its_job_has_failed(rig: Rig, asker: Asker) -> None:
    a_long_log(rig, 60_000)
    job = asker.ask(momentId="m1")

    first = running(rig, asker, job)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: asker.job(job)["progress"]["read"] == 0 or gone(first), "the first to be gone")
    wait_until(lambda: asker.job(job)["progress"]["read"] == 0, "the second to begin")
    second = running(rig, asker, job)
    os.kill(second, signal.SIGKILL)

    failed = asker.until(job, "failed", "done")
    assert second != first
    assert failed["state"] == "failed"
    assert "2 times" in failed["reason"]
    assert failed["result"] is None


class ShiftedClock(Clock):
    """The rig's clock, some time ahead."""

    def __init__(self, clock: Clock, ahead: int) -> None:
        self._clock = clock
        self._ahead = ahead

    def now(self) -> int:
        return self._clock.now() + self._ahead


def test_a_job_whose_service_died_is_taken_up_again(rig: Rig) -> None:
    fill_log(rig.rows, numbered(some_carts(begin(rig))))
    with started(rig.settings, rig.clock) as trigger:
        asker = Asker(trigger)
        job = asker.ask(momentId="m1")
        asker.until(job, "done")
    with connected(rig.database), rig.database.atomic():
        rig.rows.execute("UPDATE backtests SET state = 'running', token = 'of a dead one', attempts = 1")

    with started(rig.settings, ShiftedClock(rig.clock, SILENT + SECOND)) as trigger:
        done = Asker(trigger).until(job, "done", "failed")
    assert done["state"] == "done"

    with connected(rig.database), rig.database.atomic():
        rig.rows.execute("UPDATE backtests SET state = 'running', token = 'of a dead one', attempts = 2")
    with started(rig.settings, ShiftedClock(rig.clock, 2 * SILENT)) as trigger:
        failed = Asker(trigger).until(job, "done", "failed")
    assert (failed["state"], failed["result"]) == ("failed", None)


def test_old_jobs_are_forgotten_and_running_ones_are_not(rig: Rig) -> None:
    now = rig.clock.now()
    with connected(rig.database), rig.database.atomic():
        for n in range(MOST_KEPT + 5):
            backtests.add_job(rig.rows, f"j{n:04}", b"{}", now - n)
            backtests.cancel_job(rig.rows, f"j{n:04}", now - n)
        backtests.add_job(rig.rows, "old", b"{}", now + 1)
        backtests.cancel_job(rig.rows, "old", now - KEPT - SECOND)
        backtests.add_job(rig.rows, "waits", b"{}", now - 2 * KEPT)

        assert backtests.forget_jobs(rig.rows, now - KEPT, MOST_KEPT) == 7

        assert backtests.job(rig.rows, "waits") is not None
        assert backtests.job(rig.rows, "old") is None
        assert backtests.job(rig.rows, f"j{MOST_KEPT - 2:04}") is not None
        assert backtests.job(rig.rows, f"j{MOST_KEPT - 1:04}") is None


def test_jobs_are_listed_newest_first_in_pages_and_too_many_are_refused(rig: Rig, asker: Asker) -> None:
    with connected(rig.database), rig.database.atomic():
        rig.rows.execute("DELETE FROM signals")
    jobs = [asker.ask(momentId="m1") for _ in range(3)]
    for job in jobs:
        asker.until(job, "done")

    first = asker.call("GET", f"{BACKTESTS}?limit=2", 200)
    second = asker.call("GET", f"{BACKTESTS}?limit=2&cursor={first['next']}", 200)
    assert [job["id"] for job in first["items"] + second["items"]] == jobs[::-1]
    assert second["next"] is None
    assert "result" not in first["items"][0]

    request = asker.job(jobs[0])["request"]
    assert request["momentId"] == "m1"
    a_long_log(rig, 30_000)
    for _ in range(20):
        asker.ask(momentId="m1")
    assert "20 are queued" in asker.call("POST", BACKTESTS, 409, {"momentId": "m1"})["detail"]
