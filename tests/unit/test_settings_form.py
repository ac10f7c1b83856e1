"""Settings as form fields and back: what is rendered and sent back unchanged is the same."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from contracts.currencies import CURRENCIES
from contracts.templates import Setting, Template, product_templates, template_from, validate_settings
from contracts.times import SECOND, format_duration, parse_duration
from services.config.ui.settings_form import (
    Unreadable,
    field_ids,
    form_name,
    options_of,
    read_form,
    read_parts,
    shown_form,
    shown_parts,
    typed_form,
    units_of,
)
from tests.support.own_template import DECLARATION

OWN = template_from(tomllib.loads(DECLARATION))
STRANGE = template_from(
    tomllib.loads(
        DECLARATION.replace("[settings.tone]", '[settings."to ne.value"]').replace("{tone}", "kind")
        + """
[settings."to ne"]
type = "texts"
label = "Tones"
help = "All of them."
required = false

[settings.score]
type = "integer"
label = "Score"
help = "How many points."
minimum = -5
required = false
"""
    )
)
TEMPLATES = [*product_templates().values(), OWN, STRANGE]
ENTRIES = st.text(st.sampled_from('ab "\\\n\r\t\x00\x85\u2028<&é🛒'), min_size=1, max_size=6)
AMOUNTS = st.one_of(
    st.integers(0, 10**12), st.floats(0, 1e12, allow_nan=False), st.sampled_from([0.1, 49.9, 1e-7, 5e-324, 1e12])
)


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Values of a setting, right ones mostly."""
    match setting.type:
        case "duration":
            least = parse_duration(setting.minimum) // SECOND
            most = parse_duration(setting.maximum) // SECOND
            sizes = [size for size in (1, 60, 3600, 86400) if size <= most]
            units = st.sampled_from(sizes).flatmap(lambda size: st.integers(0, most // size).map(lambda n: n * size))
            return units.filter(lambda n: n >= least).map(lambda n: format_duration(n * SECOND))
        case "integer":
            return st.integers(setting.minimum, 10**17 if setting.maximum is None else setting.maximum)
        case "choice":
            return st.sampled_from(setting.choices)
        case "choices":
            return st.lists(st.sampled_from(setting.choices), min_size=1, max_size=9)
        case "money":
            return st.fixed_dictionaries({"amount": AMOUNTS, "currency": st.sampled_from(sorted(CURRENCIES))})
        case "texts":
            return st.lists(ENTRIES, min_size=1, max_size=4)
        case "sites":
            return st.lists(st.sampled_from(["shop.example.com", "*.example.net", "gone.example"]), min_size=1)
        case "quiet_hours":
            times = st.sampled_from(["00:00", "08:30", "22:00", "23:59"])
            zones = st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"])
            return st.fixed_dictionaries({"zone": zones, "from": times, "to": times})
    raise AssertionError(setting.type)


@st.composite
def settings_of(draw: st.DrawFn, template: Template) -> dict[str, Any]:
    """Settings of a template in normal form, as they are saved."""
    given_settings = {setting.name: draw(values_of(setting)) for setting in template.settings if draw(st.booleans())}
    normal, faults = validate_settings(template, given_settings)
    wrong = {fault.pointer.split("/")[1] for fault in faults}
    return {name: value for name, value in normal.items() if name not in wrong}


def sent(template: Template, parts: dict[str, dict[str, list[str]]]) -> MultiDict[str, str]:
    """The form as a browser sends it."""
    form: MultiDict[str, str] = MultiDict()
    for setting in template.settings:
        for part, texts in parts[setting.name].items():
            for text in texts:
                form.add(form_name(setting, part), text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n"))
    return form


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.type)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_sent_back_unchanged_is_what_was_shown(template: Template, data: st.DataObject) -> None:
    saved = data.draw(settings_of(template))

    read = read_form(template, typed_form(template, sent(template, shown_form(template, saved))))

    assert not read.missed
    assert read.settings == {setting.name: saved.get(setting.name) for setting in template.settings}
    event(f"{len(saved)} settings")


def test_no_two_settings_share_a_control_or_an_id() -> None:
    for template in TEMPLATES:
        names = [
            form_name(setting, part) for setting in template.settings for part in shown_parts(setting, setting.default)
        ]
        ids = field_ids(template)
        assert len(set(names)) == len(names)
        assert len(set(ids.values())) == len(template.settings)
        assert all(" " not in id for id in ids.values())


def setting(type: str, **fields: Any) -> Setting:
    """A setting of a type."""
    return Setting(name="x", type=type, label="X", help="", applies="raise", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "number", "unit"),
    [("PT2H", "2", "h"), ("PT90M", "90", "m"), ("P1DT1S", "86401", "s"), ("PT0S", "0", "m"), ("P90D", "90", "d")],
)
def test_a_duration_is_shown_in_the_greatest_unit_in_which_it_is_whole(value: str, number: str, unit: str) -> None:
    parts = shown_parts(setting("duration", maximum="P90D"), value)

    assert parts == {"number": [number], "unit": [unit]}


def test_units_go_no_further_than_the_maximum() -> None:
    assert units_of(setting("duration", maximum="PT1H")) == ("s", "m", "h")
    assert units_of(setting("duration", maximum="PT10S")) == ("s",)
    assert units_of(setting("duration")) == ("s", "m", "h", "d")


@pytest.mark.parametrize(
    ("typed", "value"), [("1.5", "PT1H30M"), (" 2 ", "PT2H"), ("0", "PT0S"), ("24", "P1D"), ("0.25", "PT15M")]
)
def test_hours_may_be_parts(typed: str, value: str) -> None:
    assert read_parts(setting("duration"), {"number": [typed], "unit": ["h"]}) == value


@pytest.mark.parametrize(
    ("type", "parts", "part", "key"),
    [
        ("duration", {"number": ["soon"], "unit": ["h"]}, "number", "number"),
        ("duration", {"number": ["1,5"], "unit": ["h"]}, "number", "number_comma"),
        ("duration", {"number": ["-1"], "unit": ["h"]}, "number", "number"),
        ("duration", {"number": ["٣"], "unit": ["h"]}, "number", "number"),
        ("duration", {"number": ["0.1"], "unit": ["s"]}, "number", "second"),
        ("duration", {"number": ["9" * 999], "unit": ["d"]}, "number", "number"),
        ("duration", {"number": ["1"], "unit": ["weeks"]}, "unit", "unit"),
        ("duration", {"number": ["1"]}, "unit", "unit"),
        ("integer", {"value": ["1.5"]}, "value", "whole"),
        ("integer", {"value": ["9" * 9999]}, "value", "whole"),
        ("money", {"amount": ["49,90"], "currency": ["EUR"]}, "amount", "amount_comma"),
        ("money", {"amount": ["€5"], "currency": ["EUR"]}, "amount", "amount"),
        ("money", {"amount": ["NaN"], "currency": ["EUR"]}, "amount", "amount"),
    ],
)
def test_what_is_no_value_is_told_with_its_place(type: str, parts: dict[str, Any], part: str, key: str) -> None:
    with pytest.raises(Unreadable) as told:
        read_parts(setting(type), parts)

    assert (told.value.part, told.value.key) == (part, f"properties.unreadable.{key}")


@pytest.mark.parametrize(
    ("type", "parts"),
    [
        ("duration", {"number": [" "], "unit": ["h"]}),
        ("integer", {"value": [""]}),
        ("choice", {"value": [""]}),
        ("choices", {"value": [""]}),
        ("sites", {"value": [""]}),
        ("money", {"amount": [""], "currency": ["EUR"]}),
        ("texts", {"value": [" \r\n\r\n"]}),
        ("quiet_hours", {"from": [""], "to": [""], "zone": ["Europe/Berlin"]}),
    ],
)
def test_an_empty_field_clears_its_setting(type: str, parts: dict[str, Any]) -> None:
    template = Template(
        type="t", title="T", icon="", purpose="thank", goal="", description="", sentence="", rule="instant",
        process="cart", opens=(), settings=(setting(type),),
    )  # fmt: skip
    assert read_form(template, {"x": parts}).settings == {"x": None}
    assert read_form(template, {}).settings == {}


def test_half_of_quiet_hours_is_kept_for_the_rules_to_judge() -> None:
    read = read_parts(setting("quiet_hours"), {"from": ["22:00"], "to": [""], "zone": [""]})

    assert read == {"from": "22:00", "to": "", "zone": ""}


def test_texts_are_lines_and_quoted_ones_are_json() -> None:
    read = read_parts(setting("texts"), {"value": ['Mugs\r\n Lamps \n\nMugs\r"a\\nb"\n"not json']})

    assert read == ["Mugs", "Lamps", "a\nb", '"not json']


def test_what_is_chosen_and_no_longer_offered_is_still_there() -> None:
    found = options_of(setting("sites"), ["gone.example", "a.example", ""], ["a.example", "b.example"])

    assert found == (("a.example", True), ("b.example", True), ("gone.example", False))
