"""The spool's file, on its own (docs/decisions/036-spool.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ingestion.spool.board import Mode
from services.ingestion.spool.store import LEASE, Outcome, Spool, look
from shared.broker import Message
from shared.clock import ManualClock

PEPPER = b"a-pepper-for-the-tests"
START = 1_790_000_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def spool(tmp_path: Path, clock: ManualClock) -> Iterator[Spool]:
    """One that trigger knows of and that no lease binds."""
    opened = Spool(tmp_path, 1, PEPPER, clock)
    opened.introduce()
    yield opened
    opened.close()


def message(id: str, body: bytes = b"{}") -> Message:
    return Message(
        exchange="moments.signals",
        routing_key="signal.cart.add",
        body=body,
        message_id=id,
        headers={"a": "b"},
        hidden_copies=("partition.03",),
    )


def put(spool: Spool, *ids: str, body: bytes = b"{}", who: str = "ada") -> Outcome:
    return spool.put([(spool.person("c1", "email", who), message(id, body)) for id in ids])


def ids(spool: Spool) -> list[str]:
    return [each.message_id for each in spool.first(10_000).messages]


def test_what_is_put_comes_out_whole_and_in_order(spool: Spool) -> None:
    assert not spool.filled

    assert [put(spool, "s1", "s2"), put(spool, "s3")] == [Outcome.KEPT, Outcome.KEPT]

    assert spool.filled
    assert ids(spool) == ["s1", "s2", "s3"]
    assert spool.first(1).messages == [message("s1")]


def test_nothing_is_put_before_trigger_knows_of_the_machine_nor_after_it_has_signed_off(
    tmp_path: Path, clock: ManualClock
) -> None:
    spool = Spool(tmp_path, 1, PEPPER, clock)

    assert put(spool, "s1") is Outcome.UNABLE
    spool.introduce()
    assert put(spool, "s1") is Outcome.KEPT
    assert not spool.sign_off(), "what lies here is still waited for"
    spool.forget(spool.first(1).places[0])
    assert spool.sign_off()
    assert not spool.sign_off(), "once is enough"
    assert put(spool, "s2") is Outcome.UNABLE


def test_within_a_lease_signals_go_to_the_broker(spool: Spool, clock: ManualClock) -> None:
    assert spool.grant(LEASE) == clock.now() + int(LEASE * 1_000_000)

    assert put(spool, "s1") is Outcome.DIRECT
    assert 0 < spool.lease_left() <= LEASE
    assert spool.grant(0) == clock.now(), "a word without a lease promises nothing"
    assert put(spool, "s1") is Outcome.DIRECT, "and takes none back"
    spool.board.lease(0)
    assert put(spool, "s1") is Outcome.KEPT
    assert spool.grant(LEASE) is None


def test_a_lease_of_before_a_restart_of_the_machine_ends_soon(spool: Spool) -> None:
    spool.board.lease(1_000_000)

    assert put(spool, "s1") is Outcome.DIRECT
    assert 0 < spool.lease_left() <= LEASE


def test_the_word_of_a_filled_spool_is_when_its_oldest_signal_was_accepted(spool: Spool, clock: ManualClock) -> None:
    for id in ("s1", "s2", "s3"):
        put(spool, id)
        clock.advance(1_000_000)
    places = spool.first(3).places

    assert spool.forget(places[0]) == START + 1_000_000
    clock.set(START - 60_000_000)
    put(spool, "s4")
    assert spool.forget(places[1]) == START - 60_000_000, "a clock that was set back counts, too"
    assert spool.forget(places[2] + 1) == clock.now()


def test_a_full_spool_takes_none_of_a_request_and_again_when_there_is_room(spool: Spool) -> None:
    outcomes = [put(spool, f"s{n}", body=b"x" * 60_000) for n in range(30)]

    assert outcomes[0] is Outcome.KEPT
    assert outcomes[-1] is Outcome.FULL
    assert put(spool, *(f"t{n}" for n in range(3)), body=b"x" * 60_000) is Outcome.FULL
    assert len(ids(spool)) == outcomes.count(Outcome.KEPT)
    assert 900_000 < spool.standing().used <= spool.standing().bound
    spool.forget(spool.first(3).places[-1])
    assert put(spool, "s99", body=b"x" * 60_000) is Outcome.KEPT


def test_a_process_that_was_killed_leaves_all_to_the_next(tmp_path: Path, spool: Spool, clock: ManualClock) -> None:
    put(spool, "s1", "s2")
    (tmp_path / "spool.state").unlink()

    next_one = Spool(tmp_path, 1, PEPPER, clock)

    assert next_one.filled
    assert ids(next_one) == ["s1", "s2"]
    assert next_one.name == spool.name
    assert next_one.standing().known
    next_one.close()


def test_two_processes_share_one_spool(tmp_path: Path, spool: Spool, clock: ManualClock) -> None:
    other = Spool(tmp_path, 1, PEPPER, clock)

    put(other, "s1")
    assert spool.filled
    put(spool, "s2")
    other.forget(other.first(2).places[-1])
    assert other.grant(LEASE) is not None
    assert not spool.filled
    assert put(spool, "s3") is Outcome.DIRECT
    other.close()


def test_many_threads_put_at_once_and_each_signal_is_there_once(spool: Spool) -> None:
    outcomes: list[Outcome] = []

    def fill(thread: int) -> None:
        outcomes.extend(put(spool, f"{thread}-{n}") for n in range(20))

    threads = [threading.Thread(target=fill, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [Outcome.KEPT] * 160
    assert sorted(ids(spool)) == sorted(f"{thread}-{n}" for thread in range(8) for n in range(20))


def test_one_that_is_switched_off_takes_nothing_but_can_be_drained(
    tmp_path: Path, spool: Spool, clock: ManualClock
) -> None:
    put(spool, "s1")

    off = Spool(tmp_path, 0, PEPPER, clock)

    assert off.filled
    assert put(off, "s2") is Outcome.DIRECT
    assert ids(off) == ["s1"]
    off.close()


def test_a_customer_is_erased_up_to_an_instant_and_no_other(spool: Spool, clock: ManualClock) -> None:
    for n in range(3):
        put(spool, f"a{n}")
        put(spool, f"b{n}", who="bob")
        clock.advance(1)

    assert spool.erase("c1", "email", "ada", START + 1) == 2
    assert spool.erase("c2", "email", "ada", START + 9) == 0
    assert ids(spool) == ["b0", "b1", "a2", "b2"]


def test_what_has_left_or_was_erased_cannot_be_found_in_the_files(
    tmp_path: Path, spool: Spool, clock: ManualClock
) -> None:
    put(spool, "s1", body=b"ada@example.com" * 10)
    put(spool, "s2", body=b"bob@example.com" * 10, who="bob")
    spool.erase("c1", "email", "ada", clock.now())
    spool.forget(spool.first(2).places[-1])
    spool.tidy()

    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"example.com" not in kept


def test_it_can_be_looked_at_from_outside(tmp_path: Path, spool: Spool, clock: ManualClock) -> None:
    put(spool, "s1")

    seen = look(tmp_path, 1)

    assert seen is not None
    assert (seen.signals, seen.oldest, seen.bound) == (1, START, 1024 * 1024)
    assert look(tmp_path / "elsewhere") is None
    assert spool.board.mode is Mode.FILLED
