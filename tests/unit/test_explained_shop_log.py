"""Explanations of a recorded shop log are complete: every cart signal appears, every outcome has a reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from contracts.moments import MomentState, SettingsVersion
from contracts.templates import templates
from services.cli.backtest import CONFIGURATION, Reading, backtest
from services.cli.formats import read_rees46
from services.trigger.engine.reasons import SUPPRESSIONS, SignalCode
from services.trigger.explaining import Course
from tests.support.explanations import DID_NOT_OPEN, derive_from

LOG = "cosmetics_2022_oct.csv"
SETTINGS = {"duration": "PT10M", "repeat": "on_change"}


def course_of(path: Path, settings: dict[str, Any]) -> Course:
    """The log gone through by a Cart Abandon."""
    state = MomentState(
        id="backtest",
        version=1,
        type="cart_abandon",
        configuration_id=CONFIGURATION,
        status="running",
        running_since=0,
        history=(SettingsVersion(version=1, since=0, settings=settings),),
    )
    course = Course.of(state, templates()["cart_abandon"])
    with path.open(encoding="utf-8", newline="") as lines:
        course.follow(Reading().signals_of(read_rees46(lines, name=path.name)))
    return course


@pytest.mark.parametrize(
    "settings",
    [SETTINGS, {**SETTINGS, "coolDown": "PT1H"}, {**SETTINGS, "minimumValue": {"amount": 20, "currency": "EUR"}}],
    ids=["plain", "cool-down", "value"],
)
def test_every_cart_signal_appears_and_every_outcome_has_a_reason(sample_data: Path, settings: dict[str, Any]) -> None:
    course = course_of(sample_data / LOG, settings)
    raised, suppressed, ended = [], Counter[str](), Counter[str]()

    for profile, entries in course.entries.items():
        document = msgspec.json.decode(msgspec.json.encode(course.explain(profile)))
        found = derive_from(document)
        raised += [raise_id for raise_id, _ in found.raised]
        suppressed.update(reason for reason, _ in found.suppressed)
        ended.update(found.ended)

        assert document["consistent"], document["differences"]
        assert found.pending == set()
        shown = Counter(e["signal"]["id"] for e in document["entries"] if e["event"] == "signal" and e["process"])
        carts = [each.signal for each in entries if each.signal.kind.process == "cart"]
        assert {signal.id for signal in carts} == shown.keys()
        assert {signal.id: 1 for signal in carts if signal.data.cart_id} == dict(shown)
        for entry in document["entries"]:
            _is_reasoned(entry)

    recorded = course.replay.counts
    assert len(raised) == len(set(raised)) == recorded["backtest", "raised"]
    assert suppressed == _of(recorded, "suppressed")
    assert ended == _of(recorded, "ended")
    told = _backtest(sample_data / LOG, settings)
    profiles = sum(any(each.raised for each in decisions) for decisions in course.decisions.values())
    assert (told["raises"], told["profiles"], told["suppressed"]) == (len(raised), profiles, dict(suppressed))
    if settings == SETTINGS:
        assert (len(raised), profiles) == (41, 36)
    else:
        assert set(suppressed) == ({"cool_down"} if "coolDown" in settings else {"minimum_value"})


def _is_reasoned(entry: dict[str, Any]) -> None:
    assert entry["text"]
    if entry["event"] == "signal":
        assert SignalCode(entry["code"])
        opened = any(change["effect"] == "opened" for change in entry["changes"])
        assert opened or entry["code"] != "opened"
        if entry["signal"]["kind"] in ("cart/add", "cart/replace") and not opened:
            assert entry["code"] in DID_NOT_OPEN | {"slid", "joined", "ended"}
    for change in entry["changes"]:
        assert change["text"]
        if change["effect"] == "suppressed":
            assert change["reason"] in SUPPRESSIONS


def _of(counts: Counter[tuple[str, str]], group: str) -> Counter[str]:
    return Counter({name.partition(":")[2]: n for (_, name), n in counts.items() if name.startswith(f"{group}:") and n})


def _backtest(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    given = [
        f"--set={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()
    ]
    arguments = [str(path), "--format", "rees46", "--template", "cart_abandon", "--json", *given]
    ended = CliRunner().invoke(backtest, arguments, catch_exceptions=False)
    summary: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return summary
