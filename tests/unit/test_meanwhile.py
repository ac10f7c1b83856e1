"""Two edits of one moment, brought together field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from contracts.templates import product_templates
from services.config.audit import document_of
from services.config.resources import AuditEntry, Moment
from services.config.ui.meanwhile import ABSENT, Difference, merged, with_theirs
from services.config.ui.moment_form import Filled, filled_from
from services.config.ui.settings_form import read_parts, shown_parts

TEMPLATE = product_templates()["cart_abandon"]
SHOP = "00000000-0000-4000-8000-000000000001"
BASE = Moment(
    id="00000000-0000-4000-8000-000000000002",
    type="cart_abandon",
    name="a",
    description="a\nb",
    configuration_id=SHOP,
    settings={"duration": "PT1H", "repeat": "on_change"},
    status="draft",
    version=4,
    has_run=False,
    running_since=None,
    stopped_at=None,
    created_at=0,
    updated_at=0,
    updated_by="user:ada@example.com",
)
NAMES, TEXTS = st.sampled_from("abc"), st.sampled_from(["a\nb", "", "c"])
DURATIONS = st.sampled_from(["PT1H", "PT2H", "PT3H"])
COOLING = st.sampled_from([None, "P1D", "P2D"])
EDITS = st.fixed_dictionaries({"name": NAMES, "description": TEXTS, "duration": DURATIONS, "coolDown": COOLING})


def moment_with(edit: dict[str, Any], version: int) -> Moment:
    """The base with an edit."""
    given_settings = {**BASE.settings, "duration": edit["duration"], "coolDown": edit["coolDown"]}
    return replace(
        BASE,
        name=edit["name"],
        description=edit["description"],
        settings={name: value for name, value in given_settings.items() if value is not None},
        version=version,
    )


def entry(before: Moment, after: Moment, actor: str = "user:grace@example.com") -> AuditEntry:
    """The audit entry of a change."""
    return AuditEntry(
        id=after.version,
        at=after.version * 10,
        actor=actor,
        action="change",
        kind="moment",
        resource_id=BASE.id,
        before=document_of(before),
        after=document_of(after),
    )


def edit_in(filled: Filled) -> dict[str, Any]:
    """What a form says."""
    found: dict[str, Any] = {"name": filled.name, "description": filled.description}
    for name in ("duration", "coolDown"):
        setting = TEMPLATE.setting(name)
        assert setting is not None
        found[name] = read_parts(setting, filled.settings[name])
    return found


def values_of(moment: Moment) -> dict[str, Any]:
    """The same of a moment."""
    settings = moment.settings
    return {
        "name": moment.name,
        "description": moment.description,
        "duration": settings["duration"],
        "coolDown": settings.get("coolDown"),
    }


@given(theirs=EDITS, mine=EDITS)
def test_who_alone_changed_a_field_has_it_and_what_both_changed_stays_as_typed(
    theirs: dict[str, Any], mine: dict[str, Any]
) -> None:
    base, present = values_of(BASE), moment_with(theirs, 5)

    found = merged(filled_from(moment_with(mine, 4), TEMPLATE), 4, present, TEMPLATE, [entry(BASE, present)])

    assert edit_in(found.filled) == {name: theirs[name] if mine[name] == base[name] else mine[name] for name in base}
    told = {each.field: each for each in found.differences}
    assert set(told) == {name for name in base if theirs[name] != base[name]}
    for name, each in told.items():
        assert (each.before, each.theirs) == (base[name], theirs[name])
        assert each.contested == (mine[name] not in (base[name], theirs[name]))
    event(f"{sum(each.contested for each in told.values())} contested")


def test_the_one_who_changed_a_field_last_is_named() -> None:
    first = replace(BASE, name="b", version=5)
    second = replace(first, description="x", version=6)
    entries = [entry(first, second, "user:late@example.com"), entry(BASE, first, "token:early")]

    found = merged(filled_from(BASE, TEMPLATE), 4, second, TEMPLATE, entries)

    assert {each.field: (each.actor, each.at) for each in found.differences} == {
        "name": ("token:early", 50),
        "description": ("user:late@example.com", 60),
    }


def test_a_status_is_told_and_never_contested() -> None:
    stopped = replace(BASE, status="stopped", version=5)

    (found,) = merged(filled_from(BASE, TEMPLATE), 4, stopped, TEMPLATE, [entry(BASE, stopped)]).differences

    assert found == Difference(
        field="status",
        setting=False,
        before="draft",
        theirs="stopped",
        contested=False,
        actor="user:grace@example.com",
        at=50,
    )


def test_what_cannot_be_read_counts_as_typed() -> None:
    present = replace(BASE, settings={**BASE.settings, "duration": "PT2H"}, version=5)
    filled = filled_from(BASE, TEMPLATE)
    typed = replace(filled, settings={**filled.settings, "duration": {"number": ["soon"], "unit": ["h"]}})

    found = merged(typed, 4, present, TEMPLATE, [entry(BASE, present)])

    assert found.filled.settings["duration"]["number"] == ["soon"]
    assert [(each.field, each.contested) for each in found.differences] == [("duration", True)]


def test_line_ends_of_a_browser_are_no_edit() -> None:
    former = replace(BASE, description="a\r\nb")
    present = replace(former, description="c", version=5)

    found = merged(
        replace(filled_from(former, TEMPLATE), description="a\nb"), 4, present, TEMPLATE, [entry(former, present)]
    )

    assert found.filled.description == "c"
    assert not found.differences[0].contested


def test_without_the_base_all_that_differs_counts_as_typed() -> None:
    present = moment_with({"name": "b", "description": "a\nb", "duration": "PT2H", "coolDown": None}, 9)
    later = entry(replace(BASE, version=8), present)

    found = merged(filled_from(BASE, TEMPLATE), 4, present, TEMPLATE, [later])

    assert (found.filled.name, edit_in(found.filled)["duration"]) == ("a", "PT1H")
    assert {(each.field, each.before is ABSENT) for each in found.differences} == {("name", True), ("duration", True)}


def test_a_field_of_theirs_can_be_taken() -> None:
    present = moment_with({"name": "b", "description": "a\nb", "duration": "PT2H", "coolDown": "P1D"}, 5)
    setting = TEMPLATE.setting("duration")
    assert setting is not None

    taken = with_theirs(filled_from(BASE, TEMPLATE), present, TEMPLATE, "duration")

    assert taken.settings["duration"] == shown_parts(setting, "PT2H")
    assert taken.name == "a"
    assert with_theirs(taken, present, TEMPLATE, "name").name == "b"
    assert with_theirs(taken, present, TEMPLATE, "nonsense") == taken
