"""A back-test against what the real worker did, on both stacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.moments import MomentState
from contracts.times import HOUR, MINUTE, to_rfc3339
from services.trigger.store.records import load_moments
from shared.store import connected
from tests.integration.backtest_rig import Asker, started
from tests.integration.trigger_rig import STACKS, Rig, running_rig, seconds, wait_until

PROFILES = [f"u{n}@example.com" for n in range(12)]


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def told(rig: Rig, state: MomentState) -> None:
    """Wait until the worker has done what a state means."""
    wait_until(lambda: rig.knows(state), f"version {state.version} to be settled")


def replayed(rig: Rig, **fields: Any) -> Any:
    """The back-test that follows the moment."""
    with started(rig.settings, rig.clock) as trigger:
        asker = Asker(trigger)
        return asker.result(momentId="m1", asItRan=True, since=to_rfc3339(rig.clock.now() - 2 * HOUR), **fields)


def check_against_the_worker(rig: Rig, result: Any) -> None:
    """Every decision on record is made again, and the counters are those of the ledger."""
    recorded = rig.recorded()
    assert result["agreement"] == {
        "recorded": len(recorded),
        "equal": len(recorded),
        "differing": 0,
        "differences": [],
    }
    base, ledger = result["base"], rig.ledger()
    outcomes = Counter("raised" if raised else reason for raised, reason in recorded.values())
    assert base["raised"] == outcomes.pop("raised", 0)
    assert {reason: count for reason, count in base["suppressed"].items() if count} == outcomes
    assert [base["opened"], base["slid"], base["contradicted"], base["pending"]] == [
        ledger["opened"],
        ledger["slid"],
        ledger["contradicted"],
        rig.pending(),
    ]
    assert base["ended"] == {name[6:]: count for name, count in ledger.items() if name.startswith("ended:")}


def test_a_moment_that_was_edited_stopped_and_late_is_followed_exactly(rig: Rig) -> None:
    rig.moment(duration="PT1S", since=rig.clock.now() - HOUR)
    rig.started()
    sent = [rig.signal(profile) for profile in PROFILES]
    rig.send(*sent[:6], *sent[:3], rig.signal(PROFILES[6], at=rig.clock.now() - seconds(20)))
    rig.listen_until(lambda: len(rig.recorded()) >= 6, "the first decisions")

    late = rig.clock.now() - seconds(0.9)
    rig.send(rig.signal(PROFILES[0], at=late), rig.signal(PROFILES[1], "cart/purchase"), *sent[6:])
    told(rig, rig.edit(duration="PT1H", minimumValue={"amount": 4, "currency": "EUR"}))
    rig.send(*(rig.signal(profile) for profile in PROFILES[:8]))
    rig.send(*(rig.signal(profile, at=rig.clock.now() - 10 * MINUTE) for profile in PROFILES[:4]))
    wait_until(rig.applied, "the signals to be applied")
    told(rig, rig.edit(duration="PT2S", coolDown="PT10M"))
    before = len(rig.recorded())
    rig.send(*(rig.signal(profile) for profile in PROFILES[2:9]), rig.signal(PROFILES[9], "cart/clear"))
    wait_until(lambda: len(rig.recorded()) >= before + 6, "the decisions with the second edit")
    rig.kill()
    rig.send(*(rig.signal(profile) for profile in PROFILES[5:]))
    was = rig.clock.now()
    wait_until(lambda: rig.clock.now() > was + seconds(2.5), "dues while the worker is away")
    rig.send(rig.signal(PROFILES[7], "cart/purchase"), rig.signal(PROFILES[8], at=was))
    rig.started()
    wait_until(rig.applied, "the signals to be applied")
    told(rig, rig.change(status="stopped", stopped_at=rig.clock.now()))
    wait_until(lambda: not rig.pending(), "no wait")
    again = rig.change(status="running", running_since=rig.clock.now())
    rig.send(*(rig.signal(profile) for profile in PROFILES))
    wait_until(rig.applied, "the signals to be applied")
    told(rig, again)

    wait_until(lambda: len({reason for _, reason in rig.recorded().values()}) >= 4, "every kind of outcome")
    wait_until(lambda: not rig.pending(), "the last decisions", 40)

    check_against_the_worker(rig, replayed(rig))


def test_with_the_settings_that_it_had_throughout_virtual_time_gives_the_same_raises(rig: Rig) -> None:
    rig.moment(duration="PT1S", since=rig.clock.now() - HOUR, minimumValue={"amount": 5, "currency": "EUR"})
    rig.started()
    for round_ in range(3):
        rig.send(*(rig.signal(profile) for profile in PROFILES))
        rig.send(*(rig.signal(profile) for profile in PROFILES[round_::3]))
        rig.purchase(PROFILES[round_])
        wait_until(lambda: rig.applied() and not rig.pending(), "the decisions of a round")

    result = replayed(rig, compareWith={})

    check_against_the_worker(rig, result)
    assert result["base"]["raised"] == len(
        rig.raised() | {key for key, (raised, _) in rig.recorded().items() if raised}
    )
    assert result["comparison"] == {
        **result["comparison"],
        "inBoth": result["base"]["raised"],
        "inBothAtAnotherTime": 0,
        "onlyInBase": 0,
        "onlyInCompared": 0,
    }
    compared = result["compared"]
    for name in ("opened", "slid", "raised", "ended", "suppressed", "recovered", "pending"):
        assert compared[name] == result["base"][name], name
    with connected(rig.database):
        assert compared["settings"] == load_moments(rig.rows)["m1"].settings
