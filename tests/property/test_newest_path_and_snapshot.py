"""The short cuts of the engine change nothing: one step for the newest signal, a snapshot for the oldest ones."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from msgspec.structs import asdict

from contracts.processes import CartContent
from contracts.templates import templates
from services.trigger.engine import application, apply, compact
from services.trigger.engine.state import Wait, decode_process, encode_process
from services.trigger.engine.waits import copy_wait
from tests.oracle.budget import drawn
from tests.oracle.strategies import History, any_history
from tests.property.translation import Seen, replayed

MANY = drawn(60)


def replay(history: History) -> Seen:
    return replayed(history.arrivals, history.moment, history.expiry)[1]


@MANY
@given(history=any_history())
def test_one_step_for_the_newest_signal_equals_a_full_derivation(history: History) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stepped = replay(history)
        patch.setattr(application, "needs_history", lambda *_: True)

        assert replay(history) == stepped


@MANY
@given(history=any_history(in_time=True, copies=False))
def test_a_snapshot_changes_nothing_for_signals_in_time(history: History) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = replay(history)
        patch.setattr(apply, "LATEST", 3)
        patch.setattr(compact, "LATEST", 3)
        patch.setattr(compact, "SLACK", 1)
        patch.setattr(application, "needs_history", lambda *_: True)
        folded = replay(history)

    if folded.counts.get("ignored"):
        event("older than the snapshot, at one instant")
        return
    if len(history.arrivals) > 5:
        event("snapshot taken")
    assert folded.raises == whole.raises
    assert folded.counts == whole.counts


@MANY
@given(history=any_history())
def test_a_late_signal_within_the_latest_ones_counts_as_without_a_snapshot(history: History) -> None:
    """With a snapshot after 6 signals, histories of which none came behind the latest 6 are as without one."""
    with pytest.MonkeyPatch.context() as patch:
        whole = replay(history)
        patch.setattr(apply, "LATEST", 6)
        patch.setattr(compact, "LATEST", 6)
        patch.setattr(compact, "SLACK", 1)
        folded = replay(history)

    if folded.counts.get("ignored"):
        event("older than the snapshot")
        return
    assert folded.raises == whole.raises
    assert folded.contradicted == whole.contradicted


@MANY
@given(history=any_history())
def test_a_process_survives_its_row(history: History) -> None:
    replay_, _ = replayed(history.arrivals, history.moment, history.expiry)

    for _, process in replay_._processes.values():
        assert encode_process(decode_process(encode_process(process))) == encode_process(process)


def test_a_signal_older_than_the_latest_256_is_ignored_and_counted() -> None:
    from tests.oracle.words import Arrival, Item, Moment, Settings

    second = 1_000_000
    adds = [
        Arrival(
            id=f"{n:04}",
            kind="cart/add",
            time=n * second,
            received_at=n * second,
            profile=("email", "a@example.com"),
            cart_id="c",
            items=(Item(product_id="x"),),
        )
        for n in range(1000, 1000 + 300)
    ]
    late = [
        Arrival(
            id=name,
            kind="cart/purchase",
            time=(1000 + n) * second + 1,
            received_at=1300 * second,
            profile=("email", "a@example.com"),
            cart_id="c",
        )
        for name, n in (("too-late", 42), ("just-in-time", 44))
    ]
    moment = Moment(type="cart_abandon", settings=Settings(duration=60 * second))

    _, found = replayed((*adds, late[0]), moment, 10**12)
    _, kept = replayed((*adds, late[1]), moment, 10**12)

    assert found.counts["ignored"] == 1
    assert found.opened == 1
    assert "ignored" not in kept.counts
    assert kept.opened == 2
    assert kept.raises[0][-2] == [("x", 300 - 45)]


def test_what_a_due_wait_held_outlives_the_fold_of_later_signals() -> None:
    """In a backlog hundreds of signals may be applied between a due and its decision (DOMAIN §6.4)."""
    from services.trigger.replay import MomentBook, Replay
    from tests.oracle.words import Arrival, Item, Moment, Settings
    from tests.property.translation import moment_of, signal_of

    second = 1_000_000
    moment = Moment(type="cart_abandon", settings=Settings(duration=60 * second))

    def add(n: int, time: int) -> Arrival:
        return Arrival(
            id=f"{n:04}",
            kind="cart/add",
            time=time,
            received_at=time,
            profile=("email", "a@example.com"),
            cart_id="c",
            items=(Item(product_id="x"),),
        )

    replay = Replay(MomentBook(templates(), {}, 10**12))
    replay.book.put(moment_of(moment, 0, running=True, at=0))
    for n in range(7):
        replay.receive(signal_of(add(n, n * second)))
    for n in range(7, 7 + 700):
        replay.receive(signal_of(add(n, 1000 * second + n * second)))
    outcomes = list(replay.run_out())

    assert [outcome.decision.content["items"][0]["quantity"] for outcome in outcomes] == [7, 707]


def test_a_copy_of_a_wait_has_all_that_it_has() -> None:
    key = (1, 0, "shop", "s")
    wait = Wait(3, key, key, 4, [5], "site", ended_after=True, armed=6, override=7, held=CartContent(), stitched=8)
    plain = asdict(Wait(3, key, key, 4, [5], None))

    copied = asdict(copy_wait(wait))

    assert copied == asdict(wait)
    assert all(copied[name] != value for name, value in list(plain.items())[5:])  # none was left as it is by default
