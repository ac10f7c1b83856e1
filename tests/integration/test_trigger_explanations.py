"""Why a moment was raised and why not, asked of trigger's REST over what the real worker did (DOMAIN §6.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
import msgspec
import pytest

from contracts.configurations import KeyState
from services.trigger.api.explanation_schemas import ExplanationSchema
from services.trigger.engine import account
from services.trigger.store import accounts
from services.trigger.wiring import Trigger
from tests.integration.trigger_rig import CONFIGURATION_ID, PARTITIONS, STACKS, Rig, running_rig, seconds, wait_until
from tests.support.explanations import derive_from
from tests.support.ingestion import configuration, configure, send, settings_for, signal, start_ingestion

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

    def ask(profile: str, moment: str = "m1", status: int = 200, **more: Any) -> Any:
        query = urlencode({"moment": moment, "profile": profile, **more})
        answer = client.get(f"/api/v1/explanations?{query}", headers={"Authorization": "Bearer a-token-for-the-tests"})
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    yield ask
    trigger.close()


def codes(document: dict[str, Any]) -> list[str]:
    """What each signal was."""
    return [entry["code"] for entry in document["entries"] if entry["event"] == "signal"]


def test_every_outcome_on_the_real_thing_is_explained(rig: Rig, ask: Ask) -> None:
    rig.moment("m1", duration="PT1S")
    rig.moment("m2", duration="PT2H")
    rig.started()
    rig.add("ada@example.com")
    rig.add("bob@example.com")
    rig.purchase("bob@example.com")
    rig.listen_until(lambda: rig.profiles()["ada@example.com"], "the raise of ada")
    _refuse(rig, "gus@example.com")
    for moment in ("m1", "m2"):
        stopped = rig.change(moment, status="stopped", stopped_at=rig.clock.now())
        wait_until(lambda state=stopped: rig.knows(state), "the stop")  # type: ignore[misc]
    rig.add("cyd@example.com")
    wait_until(rig.applied, "cyd's signal")
    started = rig.change("m1", status="running", running_since=rig.clock.now(), stopped_at=None)
    wait_until(lambda: rig.knows(started), "the new run")
    rig.kill()
    left = rig.add("fay@example.com")
    wait_until(lambda: rig.clock.now() > left.time + seconds(1.1), "the due")
    rig.purchase("fay@example.com")
    rig.started()
    wait_until(lambda: ("ended_before_raise",) in rig.read("SELECT reason FROM raises"), "the suppression of fay")
    rig.add("dan@example.com")
    rig.listen_until(lambda: rig.profiles()["dan@example.com"], "the raise of dan")

    ada, bob, cyd, dan, fay = (ask(f"{name}@example.com") for name in ("ada", "bob", "cyd", "dan", "fay"))
    assert (ada["answer"]["code"], codes(ada)) == ("raised", ["opened"])
    assert (
        derive_from(ada).raised
        == [(event.id, event.data["dueAt"]) for event in rig.events if event.profile == "ada@example.com"][:1]
    )
    assert (bob["answer"]["code"], bob["counts"]["ended"]) == ("ended", {"cart/purchase": 1})
    assert (cyd["answer"]["code"], codes(cyd)) == ("never_opened", ["not_running"])
    assert "not running" in cyd["answer"]["text"]
    assert (fay["answer"]["code"], fay["counts"]["suppressed"]) == ("suppressed", {"ended_before_raise": 1})
    assert "cart/purchase" in fay["answer"]["text"]
    assert (dan["answer"]["code"], len(dan["runs"]), dan["runs"][1]["until"]) == ("raised", 2, None)
    assert dan["runs"][0]["until"] is not None
    stopped_wait = ask(" ADA@Example.com ", "m2")
    assert (stopped_wait["answer"]["code"], stopped_wait["counts"]["suppressed"]) == ("suppressed", {"stopped": 1})
    gus, nobody = ask("gus@example.com"), ask("nobody@example.com")
    assert gus["answer"]["code"] == "refused"
    assert [entry["code"] for entry in gus["entries"] if entry["event"] == "refusal"] == ["disabled_key"]
    assert "the key is disabled" in gus["answer"]["text"]
    assert (nobody["answer"]["code"], nobody["counts"]["other"]) == ("unknown_profile", 0)
    for name in ("ada", "bob", "cyd", "dan", "fay"):
        for moment in ("m1", "m2"):
            document = ask(f"{name}@example.com", moment)
            assert document["differences"] == []
            assert document["complete"]
            assert len(derive_from(document).pending) == document["counts"]["pending"]


def test_a_new_timing_and_what_it_makes_due_at_once_is_told(rig: Rig, ask: Ask) -> None:
    rig.moment("m1", duration="PT2H")
    rig.started()
    left = rig.add("ada@example.com", at=rig.clock.now() - seconds(60))
    wait_until(rig.applied, "the signal")
    state = rig.edit("m1", duration="PT10S")
    wait_until(lambda: rig.knows(state), "the edit")

    document = ask("ada@example.com")

    edited = next(entry for entry in document["entries"] if entry["event"] == "settings" and entry["changes"])
    (change,) = edited["changes"]
    assert (change["effect"], change["due"]["countedFrom"], edited["settingsVersion"]) == ("retimed", "edit", 2)
    (wait,) = document["waits"]
    assert (wait["state"], wait["due"]["at"]) == ("pending", change["due"]["at"])
    assert wait["openedAt"] == document["entries"][1]["signal"]["time"]
    assert left.time < rig.clock.now()
    assert (document["answer"]["code"], document["differences"]) == ("pending", [])
    assert "10 s" in document["rule"]


def test_many_signals_are_paged_and_what_is_left_out_is_said(
    rig: Rig, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.moment("m1", duration="PT2H")
    rig.started()
    rig.send(*(rig.signal("ada@example.com") for _ in range(30)))
    wait_until(rig.applied, "the signals")

    whole = ask("ada@example.com")
    page = ask("ada@example.com", limit=20)
    rest = ask("ada@example.com", limit=20, before=page["earlier"])

    assert (whole["complete"], whole["earlier"], len(whole["entries"])) == (True, None, 31)
    assert rest["entries"] + page["entries"] == whole["entries"]
    assert rest["earlier"] is None
    assert page["counts"] == whole["counts"]
    monkeypatch.setattr(accounts, "MOST_SIGNALS", 10)
    cut = ask("ada@example.com")
    assert (cut["complete"], cut["counts"]["signals"], cut["differences"]) == (False, 10, [])
    assert "latest" in cut["missing"]


def test_what_cannot_be_explained_is_a_problem_document(rig: Rig, ask: Ask) -> None:
    rig.moment("m1")
    rig.started()
    wait_until(lambda: rig.read("SELECT count(*) FROM moments")[0][0], "the moment")

    assert ask("ada@example.com", "nowhere", status=404)["title"]
    assert ask("ada@example.com", "a\0b", status=404)["title"]
    for wrong in ({"profile": "nobody"}, {"idType": "name"}, {"limit": 0}, {"process": "a\0b"}, {"more": 1}):
        problem = ask(**{"profile": "ada@example.com", **wrong}, status=422)  # type: ignore[arg-type]
        assert problem["errors"], wrong


def test_the_documents_fields_are_those_of_the_account() -> None:
    schema = ExplanationSchema()

    def check(struct: Any, given: ma.Schema, more: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        assert set(given.fields) == set(fields) | more, struct

    def inner(given: ma.Schema, name: str) -> Any:
        field: Any = given.fields[name]
        return (field.inner if isinstance(field, ma.fields.List) else field).schema

    check(account.Account, schema, {"earlier"})
    entry = inner(schema, "entries")
    check(account.Entry, entry)
    check(account.Change, inner(entry, "changes"))
    check(account.Due, inner(inner(entry, "changes"), "due"))
    check(account.SignalName, inner(entry, "signal"))
    check(account.WaitLine, inner(schema, "waits"))
    check(account.Counts, inner(schema, "counts"))
    check(account.Run, inner(schema, "runs"))
    check(account.SettingsLine, inner(schema, "settings"))
    check(account.Answer, inner(schema, "answer"))


def _refuse(rig: Rig, profile: str) -> None:
    """Let ingestion refuse a signal of a profile: the key that it is sent with is disabled."""
    broker = {"MOMENTS_BROKER_URL": rig.environment["MOMENTS_BROKER_URL"], "MOMENTS_PARTITIONS": str(PARTITIONS)}
    ingestion = start_ingestion(settings_for(rig.folder / "ingestion", **broker))
    try:
        configure(
            ingestion, configuration(2, id=CONFIGURATION_ID, keys=(KeyState(id="pk_1", type="web", enabled=False),))
        )
        refused = send(ingestion, signal("s1", email=profile), "/v1/signals/cart/add", key="pk_1")
        assert refused.status_code == 403
        wait_until(lambda: rig.read("SELECT count(*) FROM refused")[0][0], "the refusal to be kept")
    finally:
        ingestion.close()
