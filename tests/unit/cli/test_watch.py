"""The journey at the terminal, on the embedded broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.journeys import Seen, journey_queue
from contracts.topology import JOURNEYS, Binding, moments_topology
from services.cli.watch import describe, summary_of, watch
from shared.broker import Broker, Message, connect_broker
from shared.clock import SystemClock

PARTITIONS = 2


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"MOMENTS_DATA": str(tmp_path), "MOMENTS_PARTITIONS": str(PARTITIONS)}


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    made = connect_broker(f"embedded://{tmp_path}/broker.db", SystemClock())
    made.declare(moments_topology(PARTITIONS))
    made.declare_queue(journey_queue("kept"), [Binding(JOURNEYS, "kept", "moment.#")])
    return made


def raise_moment(broker: Broker, number: int, key: str = "moment.cart_abandon", id_: str | None = None) -> None:
    """Publish a moment event as trigger does."""
    body = {"id": id_ or f"id-{number}", "type": key, "data": {"number": number}}
    publisher = broker.publisher()
    message = Message(exchange=JOURNEYS, routing_key=key, body=json.dumps(body).encode(), message_id=str(body["id"]))
    publisher.publish(message).result(60)
    publisher.close()


def numbers_of(output: str) -> list[int]:
    """The events printed."""
    return [json.loads(line)["data"]["number"] for line in output.splitlines() if line.startswith("{")]


def test_events_are_printed_once_by_id(broker: Broker, environ: dict[str, str]) -> None:
    for number, id_ in enumerate(["a", "b", "a", "c"]):
        raise_moment(broker, number, id_=id_)

    ended = CliRunner().invoke(watch, ["--queue", "kept", "--json", "--for", "1"], env=environ, catch_exceptions=False)

    assert numbers_of(ended.stdout) == [0, 1, 3]
    assert broker.depth("kept") == 0


def test_the_count_ends_it_and_the_rest_stays_in_the_queue(broker: Broker, environ: dict[str, str]) -> None:
    for number in range(5):
        raise_moment(broker, number)
    runner = CliRunner()

    first = runner.invoke(watch, ["--queue", "kept", "--json", "--count", "2"], env=environ, catch_exceptions=False)
    rest = runner.invoke(watch, ["--queue", "kept", "--json", "--for", "1"], env=environ, catch_exceptions=False)

    assert numbers_of(first.stdout) == [0, 1]
    assert numbers_of(rest.stdout) == [2, 3, 4]


def test_a_queue_without_a_name_is_gone_afterwards(broker: Broker, environ: dict[str, str]) -> None:
    ended = CliRunner().invoke(watch, ["--for", "0.1"], env=environ, catch_exceptions=False)

    queue = ended.stderr.partition("on the queue ")[2].partition(".")[0]
    assert ended.exit_code == 0
    assert queue
    raise_moment(broker, 1)
    assert broker.depth("kept") == 1


@pytest.mark.parametrize(
    "wrong", [["--type", "cart"], ["--count", "0"], ["--for", "x"], ["--type", "cart_abandon", "--key", "a"]]
)
def test_wrong_arguments_end_with_2(wrong: list[str], environ: dict[str, str]) -> None:
    ended = CliRunner().invoke(watch, wrong, env=environ)

    assert ended.exit_code == 2
    assert "Error" in ended.stderr


def test_an_id_is_forgotten_only_after_many_others() -> None:
    seen = Seen(limit=2)

    assert [seen.is_new(id_) for id_ in ("a", "b", "a", "c", "a")] == [True, True, False, True, True]


def test_a_moment_is_described_in_one_line() -> None:
    items = [{"productId": "m", "name": "Blue mug", "quantity": 2}, {"productId": "t", "name": "Green tea"}]
    data = {
        "raisedAt": "2026-11-23T10:15:40.000Z",
        "profile": {"idType": "email", "id": "ada@example.com"},
        "content": {"items": items, "total": 31.9, "currency": "EUR"},
    }

    line = describe({"type": "moment.cart_abandon", "data": data}, 12)

    what = "3 items, 31.90 EUR: Blue mug ×2, Green tea"
    assert " ".join(line.split()) == f"10:15:40 cart_abandon ada@example.com {what} #12"


def test_content_of_any_shape_has_a_summary() -> None:
    assert summary_of({}) == ""
    assert summary_of({"content": {"views": 3}}) == "3 views"
    assert summary_of({"content": {"views": 1, "items": [{"productId": "lamp"}]}}) == "1 view: lamp"
