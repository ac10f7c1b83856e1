"""The declared templates are those of DOMAIN §4, their page is current, and a further one is one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.signals import ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import (
    InvalidTemplate,
    Template,
    load_template,
    product_templates,
    templates,
    use_templates,
    validate_settings,
)
from contracts.templates.page import templates_page
from contracts.times import HOUR, MINUTE, SECOND, from_rfc3339, to_datetime
from services.cli.documents import documents
from services.cli.options import ROOT
from services.cli.program import moments
from services.trigger.backtest import run_backtest
from tests.support.own_template import DECLARATION as OWN
from tests.support.own_template import folder_with

COMMON = {"quietHours", "sites", "repeat", "coolDown"}
ALL_KINDS = ("website", "newsletter", "webinar", "event")
BOUNDS = {"duration": ("PT1S", "P90D"), "delay": ("PT0S", "P90D")}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table in DOMAIN §4, as it is written there. `own`: setting → default."""

    opens: str
    slides: str = ""
    ends: str = ""
    completes: str = ""
    own: tuple[tuple[str, object], ...] = ()
    instant: bool = False
    once_per: str | None = None
    reopens: str = ""
    needs_content: bool = False
    revisit: int = 0


DOMAIN_4 = {
    "cart_abandon": Row(
        "cart/add cart/replace",
        "cart/remove",
        "cart/clear",
        "cart/purchase",
        (("duration", "PT2H"),),
        needs_content=True,
    ),
    "browse_abandon": Row(
        "product/view page/view",
        "",
        "cart/add cart/replace",
        "cart/purchase",
        (("duration", "PT30M"), ("minimumViews", 1)),
        revisit=30 * MINUTE,
    ),
    "booking_abandon": Row(
        "booking/start", "booking/update", "booking/cancel", "booking/complete", (("duration", "PT1H"),)
    ),
    "survey_abandon": Row("survey/start", "survey/update", "", "survey/complete", (("duration", "P2D"),)),
    "game_abandon": Row("game/start", "game/update", "", "game/complete", (("duration", "PT1H"),)),
    "conversion_abandon": Row(
        "conversion/create", "conversion/update", "conversion/delete", "conversion/complete", (("duration", "PT1H"),)
    ),
    "post_purchase": Row(
        "cart/purchase", own=(("delay", "PT0S"),), instant=True, once_per="order", reopens="cart/add cart/replace"
    ),
    "booking_complete": Row("booking/complete", own=(("delay", "PT0S"),), instant=True, once_per="process"),
    "survey_complete": Row("survey/complete", own=(("delay", "PT0S"),), instant=True, once_per="process"),
    "game_start": Row("game/start", own=(("delay", "PT0S"),), instant=True, once_per="process"),
    "welcome": Row(
        "website/signup newsletter/signup webinar/signup event/signup",
        ends="website/cancel newsletter/cancel webinar/cancel event/cancel",
        own=(("kinds", ALL_KINDS), ("delay", "PT0S")),
        instant=True,
    ),
    "welcome_app": Row("app/install", ends="app/uninstall", own=(("delay", "PT0S"),), instant=True),
    "goodbye": Row(
        "website/cancel newsletter/cancel webinar/cancel event/cancel",
        ends="website/signup newsletter/signup webinar/signup event/signup",
        own=(("kinds", ALL_KINDS), ("delay", "PT0S")),
        instant=True,
    ),
}


@pytest.fixture(autouse=True)
def _only_the_products_afterwards() -> Iterator[None]:
    yield
    use_templates(None)


def words(text: str) -> tuple[str, ...]:
    """Names of signals, in any order."""
    return tuple(sorted(text.split()))


def row_of(template: Template, own: set[str]) -> Row:
    """A template in the form of the table; of its settings only those that the table names."""
    lists = {name: " ".join(sorted(getattr(template, name))) for name in ("opens", "slides", "ends", "completes")}
    settings = {setting.name: setting for setting in template.settings}
    return Row(
        **lists,
        own=tuple(
            (name, tuple(settings[name].default) if name == "kinds" else settings[name].default) for name in sorted(own)
        ),
        instant=template.rule == "instant",
        once_per=template.once_per,
        reopens=" ".join(sorted(template.reopens)),
        needs_content=template.needs_content,
        revisit=template.revisit,
    )


def sorted_row(row: Row) -> Row:
    """The row with its names in order."""
    lists = {name: " ".join(words(getattr(row, name))) for name in ("opens", "slides", "ends", "completes", "reopens")}
    return Row(
        **lists,
        own=tuple(sorted(row.own)),
        instant=row.instant,
        once_per=row.once_per,
        needs_content=row.needs_content,
        revisit=row.revisit,
    )


def test_the_product_has_the_templates_of_the_domain() -> None:
    assert set(product_templates()) == set(DOMAIN_4)


@pytest.mark.parametrize("type_", DOMAIN_4)
def test_a_template_is_declared_as_in_the_domain(type_: str) -> None:
    template, row = product_templates()[type_], DOMAIN_4[type_]
    own = {name for name, _ in row.own}

    assert row_of(template, own) == sorted_row(row)
    for name in own & BOUNDS.keys():
        setting = template.setting(name)
        assert setting is not None
        assert (setting.minimum, setting.maximum) == BOUNDS[name]
    others = {setting.name for setting in template.settings} - own
    filters = {"minimumValue", "categories"} if template.process in ("cart", "booking") else set()
    filters |= {"categories"} if template.process == "browse" else set()
    assert others == COMMON | filters | (set() if row.instant else {"maximumWait"})


def test_the_page_shows_every_template_with_every_signal_and_setting() -> None:
    page = templates_page(list(product_templates().values()))

    head, _, sections = page.partition("## Common settings")
    for type_, row in DOMAIN_4.items():
        line = next(line for line in head.splitlines() if line.startswith(f"| `{type_}` |"))
        _, begins, ends, own = (cell.strip() for cell in line.strip("|").split("|"))
        opens, _, slides = begins.partition(" · ")
        named = [name for name in (opens + slides).split("`") if "/" in name]
        assert sorted(named) == sorted(f"{row.opens} {row.slides} {row.reopens}".split())
        assert [name for name in slides.split("`") if "/" in name] == row.slides.split()
        assert sorted(name for name in ends.split("`") if "/" in name) == sorted(f"{row.ends} {row.completes}".split())
        assert [part.split("`")[1] for part in ends.split(", ") if part.endswith("✓")] == row.completes.split()
        assert own.count(";") == len(row.own) - 1
        section = sections.split(f": `{type_}`\n")[1].split("\n## ")[0]
        for name, _ in row.own:
            assert f"| `{name}` |" in section
        for name in f"{row.opens} {row.slides} {row.ends} {row.completes} {row.reopens}".split():
            assert f"| `{name}` |" in section


def test_the_generated_documents_are_current() -> None:
    stale = [path for path, text in documents().items() if (ROOT / path).read_text(encoding="utf-8") != text]

    assert stale == []


def test_a_further_template_is_one_file(tmp_path: Path) -> None:
    use_templates(folder_with(tmp_path))

    own = templates()["level_stuck"]

    assert set(templates()) == {*DOMAIN_4, "level_stuck"}
    assert validate_settings(own, {})[0] == {"duration": "PT10M", "tone": "kind", "repeat": "on_change"}
    _, faults = validate_settings(own, {"duration": "PT2H", "tone": "rude"})
    assert [fault.reason for fault in faults] == [
        "Duration: at most 1 hour.",
        "Tone: choose one of kind, cheeky.",
    ]
    assert "| `level_stuck` | `game/start` · `game/update` | `game/complete` ✓ |" in templates_page([own])


def test_the_back_test_runs_a_further_template(tmp_path: Path) -> None:
    use_templates(folder_with(tmp_path))
    noon = from_rfc3339("2026-11-23T12:00:00Z")

    signals = [
        made_signal("game/start", noon, "ada"),
        made_signal("game/start", noon + SECOND, "grace"),
        made_signal("game/update", noon + MINUTE, "ada"),
        made_signal("game/complete", noon + 2 * MINUTE, "grace"),
        made_signal("game/update", noon + HOUR, "ada"),
    ]
    outcomes = list(run_backtest(templates()["level_stuck"], {"duration": "PT10M", "repeat": "on_change"}, signals))

    assert [(each.process.profile, each.decision.due) for each in outcomes] == [
        ("ada", noon + 11 * MINUTE),
        ("ada", noon + HOUR + 10 * MINUTE),
    ]
    assert all(each.decision.raised for each in outcomes)


def made_signal(kind: str, time: int, profile: str) -> Signal:
    """A signal of a game, received when it happened."""
    data = SignalData(
        signal=kind,
        audience_configuration=Reference("backtest"),
        audience=Reference("a"),
        profile=ProfileReference("email", profile),
        received_at=to_datetime(time),
        touchpoint="server",
        game_id="g1",
    )
    return make_signal(id=f"{kind}{time}", source="game", time=time, data=data)


def test_the_command_line_knows_a_further_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOMENTS_TEMPLATES", str(folder_with(tmp_path)))

    shown = CliRunner().invoke(moments, ["templates"], catch_exceptions=False)

    assert "level_stuck  Level Stuck" in shown.stdout


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('type = "level_stuck"', 'type = "Level.Stuck"', "no type"),
        ('type = "level_stuck"', 'type = "level_lost"', "file and type must agree"),
        ('rule = "inactivity"', 'rule = "guess"', "unknown rule 'guess'"),
        ('purpose = "win_back"', 'purpose = "annoy"', "unknown purpose 'annoy'"),
        ('opens = ["game/start"]', "opens = []", "no signal opens it"),
        ('opens = ["game/start"]', 'opens = ["cart/add"]', "cart/add is no signal of the process 'game'"),
        ('opens = ["game/start"]', 'opens = ["game/begin"]', "unknown signal 'game/begin'"),
        ('slides = ["game/update"]', 'slides = ["game/start"]', "a signal has two effects"),
        ('opens = ["game/start"]', 'opens = "game/start"', "opens must be a list of signals"),
        ('opens = ["game/start"]', "", "these keys are missing: ['opens']"),
        ('title = "Level Stuck"', 'title = " "', "title must be a text"),
        ('process = "game"', 'process = "game"\nrevisit = "an hour"', "a duration is written as in ISO 8601"),
        ("{tone}", "{mood}", "['mood']"),
        ("{tone}", "{tone", "the sentence cannot be read"),
        ('default = "PT10M"', 'default = "PT2H"', "its default is wrong"),
        ('type = "choice"', 'type = "colour"', "unknown type 'colour'"),
        ("[settings.tone]", "[settings.tone", "Expected"),
        ('goal = "Help a player who is stuck in a level."', "", "'goal'"),
        ('process = "game"', 'process = "game"\nonce_per = "process"', "once_per is for instant moments"),
        ('icon = "puzzle"', 'icon = "puzzle"\ncolour = "red"', "unknown keys ['colour']"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_file_and_the_reason(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    assert before in OWN
    folder = folder_with(tmp_path, OWN.replace(before, after, 1))

    with pytest.raises(InvalidTemplate) as refusal:
        use_templates(folder)

    assert complaint in str(refusal.value)
    assert str(tmp_path / "level_stuck.toml") in str(refusal.value)
    assert set(templates()) == set(DOMAIN_4)


def test_a_template_of_the_product_cannot_be_replaced(tmp_path: Path) -> None:
    product = (ROOT / "contracts" / "templates" / "game_start.toml").read_text(encoding="utf-8")
    folder = folder_with(tmp_path, product, "game_start")

    assert load_template(folder / "game_start.toml").type == "game_start"
    with pytest.raises(InvalidTemplate, match="game_start is a template of the product"):
        use_templates(folder)


def test_a_wrong_folder_ends_a_command_with_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOMENTS_TEMPLATES", str(tmp_path / "missing"))
    missing = CliRunner().invoke(moments, ["templates"])

    monkeypatch.setenv("MOMENTS_TEMPLATES", str(folder_with(tmp_path, OWN.replace("inactivity", "guess"))))
    wrong = CliRunner().invoke(moments, ["templates"])

    assert (missing.exit_code, wrong.exit_code) == (2, 2)
    assert "there is no folder" in missing.stderr
    assert "unknown rule 'guess'" in wrong.stderr
