"""A worker that takes partitions over from a dead one: what that one left is done soon, also where nothing comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.topology import partition_of
from shared.store import connected
from tests.integration.trigger_rig import PARTITIONS, STACKS, Rig, running_rig, seconds, wait_until
from tests.support.processes import stretched


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_an_event_that_a_dead_worker_did_not_publish_is_published_though_its_partition_is_quiet(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()
    rig.add("ada@example.com")
    rig.listen_until(lambda: rig.events, "the moment")
    wait_until(lambda: not rig.read("SELECT 1 FROM outbox WHERE sent_at IS NULL"), "the event to be marked as sent")
    rig.kill()

    with connected(rig.database), rig.database.atomic():
        rig.rows.execute("UPDATE outbox SET sent_at = NULL RETURNING id")
        rig.rows.execute("DELETE FROM rollups WHERE substr(counter, 1, 5) = 'late:'")  # as if it were not sent yet
    rig.start()

    rig.listen_until(lambda: len(rig.events) == 2, "the event to be published again")
    assert len(rig.raised()) == 1


def test_a_worker_that_stood_by_raises_soon_after_it_took_over(rig: Rig) -> None:
    """It has sent markers, too, while it stood by; the other took and dropped them."""
    rig.listen("trigger-2")
    rig.moment(duration="PT4S")
    rig.started("trigger-1")
    rig.add("first@example.com")
    wait_until(rig.applied, "the first worker to have the partition")
    rig.started("trigger-2")
    rig.listen_until(lambda: rig.profiles()["first@example.com"] == 1, "the first moment")

    last = [rig.add("first@example.com", at=rig.clock.now()) for _ in range(2)][-1]
    wait_until(rig.applied, "the signals to be applied")
    rig.kill("trigger-1")

    rig.listen_until(lambda: rig.profiles()["first@example.com"] == 2, "the second moment")
    assert rig.events[-1].raised_at - last.time < seconds(4 + stretched(8))
    place = partition_of(last.configuration, last.id_type, last.profile, PARTITIONS)
    assert rig.read("SELECT owner FROM partitions WHERE partition = ?", (place,)) == [("trigger-2",)]
