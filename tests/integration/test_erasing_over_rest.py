"""A customer is erased over REST while the real worker runs; on both brokers and both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.trigger.audit import check
from services.trigger.wiring import Trigger
from tests.integration.trigger_rig import CONFIGURATION_ID, STACKS, Rig, running_rig, seconds, wait_until

ADA = "ada.lovelace@example.com"
BOB = "bob@example.com"
Ask = Callable[..., Any]


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


@pytest.fixture
def ask(rig: Rig) -> Iterator[Ask]:
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    client = trigger.app.test_client()

    def answer(method: str, path: str, status: int = 200, **given: Any) -> Any:
        found = client.open(path, method=method, headers={"Authorization": "Bearer a-token-for-the-tests"}, **given)
        assert found.status_code == status, found.get_data()
        return found.get_json(force=True)

    yield answer
    trigger.close()


def test_an_erased_customer_is_gone_from_every_table_and_may_come_back(rig: Rig, ask: Ask) -> None:
    running = rig.moment(duration="PT1S")
    rig.started()
    wait_until(lambda: rig.knows(running), "the moment")
    first = rig.add(ADA)
    rig.add(BOB)
    rig.listen_until(lambda: rig.profiles() == {ADA: 1, BOB: 1}, "both raises")
    long = rig.edit(duration="PT2H")
    wait_until(lambda: rig.knows(long), "the edit")
    pending = rig.add(ADA)
    wait_until(lambda: rig.pending() == 1, "her wait")

    exported = ask("GET", f"/api/v1/profiles/{CONFIGURATION_ID}/email/{ADA}/export")
    same = ask("POST", "/api/v1/exports", json={"configuration": CONFIGURATION_ID, "profile": ADA})
    assert {**same, "exportedAt": ""} == {**exported, "exportedAt": ""}
    assert sorted(each["id"] for each in exported["signals"]) == sorted([first.id, pending.id])
    assert exported["known"]["counts"] == {"signals": 2, "raises": 1}
    assert [len(each["waits"]) for each in exported["processes"]] == [1]
    assert [each["event"]["data"]["profile"]["id"] for each in exported["outcomes"]] == [ADA]
    assert BOB not in str(exported)

    receipt = ask("DELETE", f"/api/v1/profiles/{CONFIGURATION_ID}/email/{ADA.upper()}", 202)
    where = f"/api/v1/erasures/{receipt['id']}"
    wait_until(lambda: ask("GET", where)["state"] != "requested", "the tombstone")
    rig.send(pending, first)  # a sender that missed the answer: the same receipt
    rig.add(ADA, id=pending.id)  # and one that sends it once more
    returned = rig.add(ADA)
    wait_until(lambda: ask("GET", where)["dropped"] == 3, "late arrivals to be dropped")
    wait_until(lambda: rig.pending() == 1, "the new wait")

    after = ask("GET", f"/api/v1/profiles/{CONFIGURATION_ID}/email/{ADA}/export")
    assert [each["id"] for each in after["signals"]] == [returned.id]
    erased = ask("GET", where)
    assert {store: n for store, n in erased["erased"]["trigger"].items() if n and store != "outbox"} == {
        "signals": 2,
        "processes": 1,
        "waits": 1,
        "raises": 1,
        "profiles": 1,
    }
    assert rig.ledger()["suppressed:erased"] == 1
    bodies = [bytes(body) for (body,) in rig.read("SELECT body FROM signals")]
    assert [returned.id.encode() in body for body in bodies if ADA.encode() in body] == [True]
    assert check(rig.settings, rig.clock) == []
    assert rig.profiles() == {ADA: 1, BOB: 1}


def test_a_signal_in_flight_and_a_raise_due_in_the_same_second_come_to_nothing(rig: Rig, ask: Ask) -> None:
    state = rig.moment(duration="PT2S")
    rig.started()
    wait_until(lambda: rig.knows(state), "the moment")
    added = rig.add(ADA)
    wait_until(rig.applied, "her signal")
    rig.stop()
    in_flight = rig.add(ADA)
    wait_until(lambda: rig.clock.now() > added.time + seconds(2), "the due")

    whom = {"configuration": CONFIGURATION_ID, "idType": "email", "profile": ADA}
    receipt = ask("POST", "/api/v1/erasures", 202, json=whom)
    since = rig.clock.now()
    rig.started()
    wait_until(lambda: ask("GET", f"/api/v1/erasures/{receipt['id']}")["state"] != "requested", "the tombstone")
    rig.add(BOB)
    rig.listen_until(lambda: rig.profiles()[BOB] == 1, "a raise of somebody else")

    assert rig.profiles() == {BOB: 1}
    assert in_flight.received_at < since
    assert rig.ledger()["suppressed:erased"] >= 1
    assert rig.read("SELECT count(*) FROM raises") == [(1,)]


def test_what_names_nobody_is_refused(rig: Rig, ask: Ask) -> None:
    rig.moment()
    rig.started()
    wait_until(lambda: rig.read("SELECT 1 FROM configurations"), "the configuration")

    ask("DELETE", f"/api/v1/profiles/unknown/email/{ADA}", 404)
    ask("GET", f"/api/v1/profiles/unknown/email/{ADA}/export", 404)
    ask("DELETE", f"/api/v1/profiles/{CONFIGURATION_ID}/email/nobody", 422)
    ask("DELETE", f"/api/v1/profiles/{CONFIGURATION_ID}/passport/1", 422)
    ask("DELETE", f"/api/v1/profiles/{CONFIGURATION_ID}/external/%00", 422)
    ask("POST", "/api/v1/erasures", 422, json={"configuration": CONFIGURATION_ID, "profile": ""})
    ask("GET", "/api/v1/erasures/5f7c1f5e-0a55-4a8f-9d53-6a3f6c1f7f10", 404)
    assert ask("GET", "/api/v1/erasures")["items"] == []
    hostile = "/../a b/%2e\u202e'\"<script>"
    ask(
        "POST",
        "/api/v1/erasures",
        202,
        json={"configuration": CONFIGURATION_ID, "idType": "external", "profile": hostile},
    )
    wait_until(lambda: [each["state"] for each in ask("GET", "/api/v1/erasures")["items"]] == ["erased"], "the erasure")
