"""The benchmarks' workload is the one that is promised, and both services take it."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.workload import (
    CONFIGURATION,
    ITEMS,
    ORIGIN,
    SIZE,
    WEB_KEY,
    body_of,
    cart_signals,
    configuration_state,
    document_of,
)
from contracts.signals import CATALOGUE, decode_signal
from services.ingestion.admission import Admitted, Directory, admit_key
from services.ingestion.bodies import Body, parse
from services.ingestion.reading import Accepted, Reception, read_signal
from services.ingestion.signing import Verifier

START = 1_700_000_000_000_000


def test_every_signal_has_800_bytes_and_5_items_on_the_wire() -> None:
    for signal in cart_signals(200, start=START):
        body = body_of(signal)

        assert len(body) == SIZE
        assert len(decode_signal(body).data.items) == ITEMS


def test_a_cart_has_about_six_signals_among_many_others() -> None:
    carts = Counter(signal.cart for signal in cart_signals(120_000, start=START))

    assert len(carts) > 10_000
    # Carts that are still open at the end pull the mean down.
    assert 120_000 / len(carts) == pytest.approx(6, rel=0.2)


def test_the_same_seed_gives_the_same_signals_and_another_seed_others() -> None:
    first = list(cart_signals(50, start=START))

    assert first == list(cart_signals(50, start=START))
    assert {signal.id for signal in first}.isdisjoint(signal.id for signal in cart_signals(50, start=START, seed=2))


def test_ingestion_accepts_what_the_clients_send() -> None:
    admitted = admit_key(Directory.of([configuration_state()], Verifier(b"pepper")), WEB_KEY, ORIGIN, START)
    assert isinstance(admitted, Admitted)

    for signal in cart_signals(20, start=START):
        document = document_of(signal)
        body = parse(document)
        assert isinstance(body, Body)
        outcome = read_signal(
            body.value, CATALOGUE["cart/add"], Reception(admitted, START + 10**9, None), clean=body.clean, explain=True
        )

        assert len(document) == SIZE
        assert isinstance(outcome, Accepted)
        assert outcome.data.audience_configuration.id == CONFIGURATION
