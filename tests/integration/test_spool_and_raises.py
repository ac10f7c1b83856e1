"""Nothing is raised on partial knowledge while a machine keeps signals back (DOMAIN §6.5), on the real servers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.times import to_datetime
from services.ingestion.spool.store import Standing
from services.ingestion.wiring import Ingestion
from tests.integration.trigger_rig import CONFIGURATION_ID, PARTITIONS, Rig, running_rig, wait_until
from tests.support.ingestion import configuration, configure, send, settings_for, signal, start_ingestion
from tests.support.proxy import Cable
from tests.support.rabbitmq import RabbitMQNode

PATIENCE = 20
DURATION = 6
"""Seconds; longer than a machine's lease of two: what is due within that may be raised before the purchase is taken."""


class Machine:
    """A machine of ingestion at the end of a cable of its own."""

    def __init__(self, rig: Rig, node: RabbitMQNode, name: str) -> None:
        self.rig = rig
        self._ends = contextlib.ExitStack()
        self.cable = Cable(node.port)
        self._ends.callback(self.cable.close)
        url = rig.environment["MOMENTS_BROKER_URL"].replace(f":{node.port}/", f":{self.cable.port}/")
        self._settings = settings_for(
            rig.folder / name, MOMENTS_BROKER_URL=url, MOMENTS_PARTITIONS=str(PARTITIONS), MOMENTS_SPOOL="16"
        )
        self.ingestion = self._start()
        wait_until(lambda: self._standing().known, f"{name} to introduce itself")

    def _start(self) -> Ingestion:
        ingestion = start_ingestion(self._settings)
        self._ends.callback(ingestion.close)
        configure(ingestion, configuration(2, id=CONFIGURATION_ID))
        return ingestion

    def _standing(self) -> Standing:
        assert self.ingestion.spool is not None
        return self.ingestion.spool.standing()

    @property
    def name(self) -> str:
        """What trigger knows it by."""
        assert self.ingestion.spool is not None
        return self.ingestion.spool.name

    @property
    def waiting(self) -> int:
        """Signals that it keeps back."""
        return self._standing().signals

    def send(self, profile: str, kind: str = "cart/add", **data: object) -> None:
        """Send a signal of now; it must be acknowledged."""
        given = signal(f"{profile}-{kind}", email=f"{profile}@example.com", signal=kind, cartId="k", **data)
        given["time"] = to_datetime(self.rig.clock.now()).isoformat()
        answer = send(self.ingestion, given)
        assert answer.status_code == 200, answer.get_json()

    def close(self) -> None:
        """Stop in an orderly way; once."""
        self._ends.close()


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, rabbitmq_node: RabbitMQNode) -> Iterator[Rig]:
    """Trigger on RabbitMQ and PostgreSQL."""
    with running_rig(request, tmp_path, "servers") as made:
        made.environment["MOMENTS_SPOOL_PATIENCE"] = str(PATIENCE)
        yield made


@pytest.fixture
def machines(rig: Rig, rabbitmq_node: RabbitMQNode) -> Iterator[Callable[[str], Machine]]:
    """Makes machines, which end with the test, however it ends."""
    with contextlib.ExitStack() as made:
        yield lambda name: made.enter_context(contextlib.closing(Machine(rig, rabbitmq_node, name)))


def state_of(rig: Rig, machine: Machine) -> str:
    """What trigger makes of a machine."""
    found = rig.read("SELECT state FROM spools WHERE machine = ?", (machine.name,))
    return str(found[0][0]) if found else ""


@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_raises_wait_for_what_a_machine_keeps_back_until_it_signs_off_or_is_silent_for_too_long(
    rig: Rig, machines: Callable[[str], Machine]
) -> None:
    rig.started()
    moment = rig.moment(duration=f"PT{DURATION}S")
    wait_until(lambda: rig.knows(moment), "the moment to be known")
    first, second = machines("first"), machines("second")
    wait_until(lambda: state_of(rig, first) == state_of(rig, second) == "here", "both machines to be known")

    # One that is cut off keeps a purchase back: neither this cart nor any other may be raised before it has come.
    for name in ("ada", "bob"):
        second.send(name)
    first.cable.cut()
    first.send("ada", "cart/purchase")
    first.send("cyd")
    assert first.waiting == 2
    rig.listen_until(lambda: rig.applied(2), "the carts to be known")
    threading.Event().wait(DURATION + 1.5)
    assert rig.raised() == set()
    assert (rig.recorded(), rig.pending()) == ({}, 2), (rig.folder / "worker.log").read_text()

    first.cable.mend()
    rig.listen_until(lambda: len(rig.raised()) == 2, "the carts left behind")
    assert set(rig.profiles()) == {"bob@example.com", "cyd@example.com"}
    assert rig.ledger()["ended:cart/purchase"] == 1

    # One that has signed off is not waited for.
    second.close()
    wait_until(lambda: state_of(rig, second) == "left", "the second to have left")
    first.send("dan")
    rig.listen_until(lambda: len(rig.raised()) == 3, "the fourth cart", 30)

    # One that vanishes with signals is waited for as long as it was said.
    first.send("eve")
    cut = rig.clock.now()
    first.cable.cut()
    first.send("fay")
    rig.listen_until(lambda: len(rig.raised()) == 4, "the fifth cart", 60)
    (event,) = (event for event in rig.events if event.profile == "eve@example.com")
    assert event.raised_at >= cut + (PATIENCE - 2) * 1_000_000
    wait_until(lambda: state_of(rig, first) == "passed", "it to be passed over")

    # Back again, it is heeded again, and what it had kept is taken.
    first.cable.mend()
    rig.listen_until(lambda: len(rig.raised()) == 5, "the sixth cart", 60)
    wait_until(lambda: state_of(rig, first) == "here", "it to be waited for again")
