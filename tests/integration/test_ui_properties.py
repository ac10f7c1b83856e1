"""The properties panel over the real application: roles, faults, conflicts, locks, every template."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.templates import product_templates, templates, use_templates
from shared.clock import ManualClock
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config
from tests.support.forms import SentForm, form_in
from tests.support.own_template import TYPE, folder_with

NOON = 1_790_000_000_000_000
HOSTILE = "<script>alert(1)</script>'\"{{7*7}}{0}%s \u202eabc🛒"
RICH: dict[str, Any] = {
    "maximumWait": "P1DT1S",
    "quietHours": {"zone": "America/New_York", "from": "22:00", "to": "08:30"},
    "sites": ["*.example.net"],
    "minimumValue": {"amount": 49.9, "currency": "EUR"},
    "categories": ["Mugs & more", '"quoted"', "two\nlines"],
    "repeat": "once",
    "coolDown": "P7D",
    "duration": "PT90M",
    "delay": "PT5M",
    "minimumViews": 3,
    "kinds": ["newsletter", "event"],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service on SQLite with a template of an operator's own; trigger is away."""
    own = tmp_path_factory.mktemp("own")
    with running_config(tmp_path_factory.mktemp("panel"), clock=ManualClock(NOON), start=False) as client:
        use_templates(folder_with(own))
        yield client
        use_templates(None)


@pytest.fixture(scope="module")
def ada(config: Client) -> Browser:
    """An administrator."""
    return make_administrator(config.service)


@pytest.fixture(scope="module")
def eve(config: Client, ada: Browser) -> Browser:
    """An editor."""
    return make_user(config.service, "editor", "eve@example.com", "Eve Editor")


@pytest.fixture(scope="module")
def vera(config: Client, ada: Browser) -> Browser:
    """A viewer."""
    return make_user(config.service, "viewer", "vera@example.com")


@pytest.fixture
def moment(config: Client) -> dict[str, Any]:
    """A draft of Cart Abandon for a shop of its own."""
    return config.make_moment(config.make_configuration()["id"], name="Cart", settings={"coolDown": "P7D"})


def panel_of(browser: Browser, moment: dict[str, Any]) -> SentForm:
    """The form of a moment as somebody sees it."""
    answer = browser.get(f"/moments/{moment['id']}")
    assert answer.status_code == 200
    return form_in(answer.text, "properties")


def send(browser: Browser, form: SentForm, path: str = "", **changes: str | list[str] | None) -> Any:
    """Send a form with other texts in some controls."""
    return browser.post(path or form.action, form.values(**changes))  # type: ignore[arg-type]


def saved(config: Client, moment: dict[str, Any]) -> dict[str, Any]:
    """The moment as it is saved."""
    found: dict[str, Any] = config.get(f"/api/v1/moments/{moment['id']}")
    return found


def words_of(answer: Any) -> str:
    """The text of a page without its marks, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@pytest.mark.parametrize("type", [*product_templates(), TYPE])
def test_every_template_is_shown_and_saved_unchanged_as_it_was(config: Client, eve: Browser, type: str) -> None:
    rich = {name: RICH[name] for name in RICH if templates()[type].setting(name)}
    rich |= {"duration": "PT15M"} if type == TYPE else {}
    made = config.make_moment(
        config.make_configuration()["id"], type=type, settings=rich, name=HOSTILE, description="  a\n\nb\r\n<c>"
    )

    answer = send(eve, panel_of(eve, made))

    assert (answer.status_code, answer.location) == (303, f"/moments/{made['id']}?done=moment_unchanged")
    assert saved(config, made) == made
    assert "Nothing to save" in eve.get(answer.location).text


def test_what_is_changed_is_saved_and_what_is_emptied_is_cleared(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    answer = send(
        eve,
        panel_of(eve, moment),
        name=HOSTILE,
        description="One\r\ntwo",
        settings__duration__number="90",
        settings__duration__unit="m",
        settings__coolDown__number="",
        settings__minimumValue__amount="49.90",
        settings__minimumValue__currency="eur",
        settings__categories__value="Mugs\r\n\r\n Lamps ",
        settings__sites__value=["", "*.example.net"],
        settings__quietHours__from="22:00",
        settings__quietHours__to="08:00",
        settings__quietHours__zone="Europe/Berlin",
    )

    assert answer.location == f"/moments/{moment['id']}?done=moment_saved"
    found = saved(config, moment)
    assert (found["name"], found["description"], found["version"]) == (HOSTILE, "One\ntwo", 2)
    assert found["updatedBy"] == "user:eve@example.com"
    assert found["settings"] == {
        "duration": "PT1H30M",
        "minimumValue": {"amount": 49.9, "currency": "EUR"},
        "categories": ["Mugs", "Lamps"],
        "sites": ["*.example.net"],
        "quietHours": {"zone": "Europe/Berlin", "from": "22:00", "to": "08:00"},
        "repeat": "on_change",
    }
    page = eve.get(answer.location).text
    assert "<script>alert" not in page
    assert "Saved." in page


def test_wrong_input_is_kept_and_each_fault_is_told_in_plain_words(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    answer = send(
        eve,
        panel_of(eve, moment),
        name=" ",
        settings__duration__number="soon",
        settings__maximumWait__number="91",
        settings__minimumValue__amount="5",
        settings__minimumValue__currency="EURO",
        settings__quietHours__from="22:00",
        settings__quietHours__zone="Mars/Base",
        settings__categories__value="x" * 201,
    )

    assert answer.status_code == 422
    form, words = form_in(answer.text, "properties"), words_of(answer)
    assert form.value("settings.duration.number") == "soon"
    assert form.value("settings.minimumValue.currency") == "EURO"
    assert form.value("settings.quietHours.zone") == "Mars/Base"
    for told in (
        "7 fields need a change",
        "Give it a name.",
        "Duration: Write a number, such as 2 or 1.5.",
        "Maximum wait: At most 90 days.",
        "Minimum value: EURO is no currency",
        "Quiet hours: There is no time zone Mars/Base",
        "Categories: A text of 1 to 200 characters is needed.",
    ):
        assert told in words
    assert 'href="#setting-duration-number"' in answer.text
    assert "data-changed" in answer.text
    assert saved(config, moment) == moment


def test_checking_saves_nothing_and_tells_the_faults(config: Client, eve: Browser, moment: dict[str, Any]) -> None:
    form = panel_of(eve, moment)
    path = f"/moments/{moment['id']}/check"

    wrong = send(eve, form, path, settings__duration__number="0")
    right = send(eve, form, path, settings__duration__number="3")
    same = send(eve, form, path)

    assert wrong.status_code == right.status_code == 200
    assert "At least 1 second." in wrong.text
    assert "At least 1 second." not in right.text
    assert form_in(right.text, "properties").value("settings.duration.number") == "3"
    assert "data-changed" in right.text
    assert "data-changed" not in same.text
    assert saved(config, moment) == moment


def test_a_setting_can_be_put_back_to_its_default_and_the_rest_stays_as_typed(
    eve: Browser, moment: dict[str, Any]
) -> None:
    form = panel_of(eve, moment)
    typed = send(
        eve, form, f"/moments/{moment['id']}/check", settings__duration__number="9", name="Mine", reset="duration"
    )

    found = form_in(typed.text, "properties")
    assert (found.value("settings.duration.number"), found.value("settings.duration.unit")) == ("2", "h")
    assert found.value("name") == "Mine"


def test_viewers_read_and_are_offered_nothing_that_they_would_be_refused(
    config: Client, vera: Browser, moment: dict[str, Any]
) -> None:
    config.set_status(moment["id"], "running")
    answer = vera.get(f"/moments/{moment['id']}")
    panel = answer.text[answer.text.index('id="panel"') :]

    assert "Raise when 2 hours have passed since the last change to a cart that still holds items." in panel
    assert "7 days" in panel
    for offered in ("<form", "<input", "<select", "/status", "backtests"):
        assert offered not in panel
    path = f"/moments/{moment['id']}"
    for refused in (path, f"{path}/check", f"{path}/impact", f"{path}/backtests", f"{path}/status"):
        assert vera.post(refused, {"name": "x"}).status_code == 403
    assert saved(config, moment)["name"] == "Cart"


def test_the_configuration_can_be_chosen_until_it_has_run(config: Client, eve: Browser, moment: dict[str, Any]) -> None:
    other = config.make_configuration(name="Other shop", domains=["other.example"])
    form = panel_of(eve, moment)
    checked = send(eve, form, f"/moments/{moment['id']}/check", audience_configuration_id=other["id"])
    assert "other.example" in checked.text

    assert send(eve, form, audience_configuration_id=other["id"]).status_code == 303
    assert saved(config, moment)["audienceConfigurationId"] == other["id"]
    config.set_status(moment["id"], "running", "stopped")
    locked = panel_of(eve, moment)
    forged = send(eve, locked, audience_configuration_id=moment["audienceConfigurationId"])

    assert "audience_configuration_id" not in locked.values()
    assert "The audience configuration is fixed" in eve.get(f"/moments/{moment['id']}").text
    assert forged.location.endswith("moment_unchanged")
    assert saved(config, moment)["audienceConfigurationId"] == other["id"]


def test_saving_and_starting_is_one_step_and_refused_as_one(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    form = panel_of(eve, moment)

    refused = send(eve, form, status="running", settings__duration__number="0")
    status_after_refusal = saved(config, moment)["status"]
    done = send(eve, form, status="running", settings__duration__number="3")

    assert (refused.status_code, status_after_refusal) == (422, "draft")
    assert done.location.endswith("done=moment_running")
    found = saved(config, moment)
    assert (found["status"], found["settings"]["duration"]) == ("running", "PT3H")


def test_only_allowed_changes_of_the_status_are_offered(config: Client, eve: Browser, moment: dict[str, Any]) -> None:
    path = f"/moments/{moment['id']}"

    def offered() -> set[str]:
        text = eve.get(path).text
        text = text[text.index('id="panel"') :]
        statuses = ("draft", "running", "stopped", "archived")
        return {
            each
            for each in statuses
            if f"{path}/status?to={each}&amp;panel=1" in text
            or f'name="to" value="{each}"' in text
            or f'name="status" value="{each}"' in text
        }

    found = [offered()]
    for status in ("running", "stopped", "running", "archived", "draft"):
        assert eve.post(f"{path}/status?panel=1", {"to": status}).location == f"{path}?done=moment_{status}"
        found.append(offered())

    assert found == [
        {"running"},
        {"stopped", "archived"},
        {"running", "archived"},
        {"stopped", "archived"},
        {"draft"},
        {"running"},
    ]


def test_what_cannot_start_says_what_is_missing(config: Client, eve: Browser) -> None:
    shop = config.make_configuration(domains=["a.example"])
    made = config.make_moment(shop["id"], settings={"sites": ["a.example"]})
    config.call("PATCH", f"/api/v1/audience-configurations/{shop['id']}", {"domains": ["b.example"]}, if_match='"1"')

    words = words_of(eve.get(f"/moments/{made['id']}"))
    started = send(eve, panel_of(eve, made), status="running", name="Renamed")

    assert "Before it can start Sites: a.example is no domain of the audience configuration." in words
    assert "a.example is no domain of the audience configuration any more" in words
    assert "No key of “Web shop” is switched on" in words
    assert started.status_code in (409, 422)
    assert "a.example is no domain" in started.text
    assert form_in(started.text, "properties").value("name") == "Renamed"
    assert saved(config, made) == made


def test_an_archived_moment_is_read_only_until_it_is_reopened(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    open_form = panel_of(eve, moment)
    config.set_status(moment["id"], "running", "archived")

    shown = eve.get(f"/moments/{moment['id']}").text
    panel = shown[shown.index('id="panel"') :]
    late = send(eve, open_form, name="Typed before it was archived")
    retried = send(eve, form_in(late.text, "properties"))
    reopened = send(eve, form_in(late.text, "properties"), status="draft")

    assert "Reopen as draft" in panel
    assert "<input id" not in panel
    assert late.status_code == 412
    assert "It was archived meanwhile" in late.text
    assert form_in(late.text, "properties").value("name") == "Typed before it was archived"
    assert retried.status_code == 409
    assert form_in(retried.text, "properties").value("name") == "Typed before it was archived"
    assert reopened.location.endswith("moment_saved")
    assert (saved(config, moment)["status"], saved(config, moment)["name"]) == (
        "draft",
        "Typed before it was archived",
    )


def test_what_is_wrong_while_it_is_reopened_is_told_beside_what_was_typed(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    open_form = panel_of(eve, moment)
    config.set_status(moment["id"], "running", "archived")
    late = send(eve, open_form, name="Typed", settings__maximumWait__number="91")

    answer = send(eve, form_in(late.text, "properties"), status="draft")

    assert answer.status_code == 422
    assert "Maximum wait: At most 90 days." in words_of(answer)
    assert form_in(answer.text, "properties").value("name") == "Typed"


def test_two_editors_at_once_lose_nothing(config: Client, ada: Browser, eve: Browser, moment: dict[str, Any]) -> None:
    hers, mine = panel_of(ada, moment), panel_of(eve, moment)
    send(ada, hers, name="Hers", settings__duration__number="5", settings__coolDown__number="14")

    conflict = send(
        eve, mine, description="Mine", settings__duration__number="3", settings__maximumWait__number="1 day"
    )

    form, words = form_in(conflict.text, "properties"), words_of(conflict)
    assert conflict.status_code == 412
    assert form.value("settings.duration.number") == "3"
    assert form.value("settings.maximumWait.number") == "1 day"
    assert form.value("settings.coolDown.number") == "14"
    assert (form.value("name"), form.value("description"), form.value("version")) == ("Hers", "Mine", "2")
    for told in (
        "Somebody else saved this moment",
        "Name Cart Hers Ada",
        "Duration 2 hours 5 hours Ada",
        "3 hours Take theirs",
    ):
        assert told in words
    assert saved(config, moment)["settings"]["duration"] == "PT5H"

    again = send(eve, form, settings__maximumWait__number="1")

    assert again.location.endswith("moment_saved")
    found = saved(config, moment)
    assert (found["name"], found["description"]) == ("Hers", "Mine")
    assert (found["settings"]["duration"], found["settings"]["coolDown"]) == ("PT3H", "P14D")


def test_one_of_theirs_can_be_taken(config: Client, ada: Browser, eve: Browser, moment: dict[str, Any]) -> None:
    hers, mine = panel_of(ada, moment), panel_of(eve, moment)
    send(ada, hers, name="Hers", settings__duration__number="5")
    conflict = form_in(send(eve, mine, name="Mine", settings__duration__number="3").text, "properties")

    taken = send(eve, conflict, f"/moments/{moment['id']}/check", take="duration")
    form = form_in(taken.text, "properties")

    assert ("take", "duration") in conflict.buttons
    assert ("take", "duration") not in form.buttons
    assert ("take", "name") in form.buttons
    assert (form.value("settings.duration.number"), form.value("name")) == ("5", "Mine")
    assert send(eve, form).location.endswith("moment_saved")
    assert saved(config, moment)["name"] == "Mine"


def test_a_third_edit_meanwhile_is_a_conflict_again(
    config: Client, ada: Browser, eve: Browser, moment: dict[str, Any]
) -> None:
    mine = panel_of(eve, moment)
    send(ada, panel_of(ada, moment), name="First")
    conflict = form_in(send(eve, mine, description="Mine").text, "properties")
    send(ada, panel_of(ada, moment), name="Second")

    again = send(eve, conflict)

    assert again.status_code == 412
    form = form_in(again.text, "properties")
    assert (form.value("name"), form.value("description")) == ("Second", "Mine")


def test_without_trigger_the_panel_says_what_is_missing_and_saving_works(
    config: Client, eve: Browser, moment: dict[str, Any]
) -> None:
    config.set_status(moment["id"], "running")
    form, path = panel_of(eve, moment), f"/moments/{moment['id']}"

    effect = send(eve, form, f"{path}/impact", settings__duration__number="3")
    trial = send(eve, form, f"{path}/backtests", settings__duration__number="3")
    done = send(eve, form, settings__duration__number="3")

    assert "the effect on waiting customers is not known" in effect.text
    assert form_in(effect.text, "properties").value("settings.duration.number") == "3"
    assert "nothing can be tried now" in trial.text
    assert done.location.endswith("moment_saved")


def test_a_made_up_back_test_asks_trigger_for_nothing(eve: Browser, moment: dict[str, Any]) -> None:
    path = f"/moments/{moment['id']}/backtests"

    for made_up in ("../moments", "x", "..%2f..", f"{moment['id']}/cancel"):
        for name in ("look", "cancel"):
            answer = send(eve, panel_of(eve, moment), path, **{name: made_up})
            assert "no longer kept" in answer.text
    assert "no longer kept" in eve.get(f"{path}/nonsense").text


def test_an_expired_session_tells_a_script_so_and_saves_nothing(
    config: Client, moment: dict[str, Any], ada: Browser
) -> None:
    browser = make_user(config.service, "editor", "short@example.com")
    form = panel_of(browser, moment)
    values = form.values(name="Typed")
    browser.post("/sign-out")

    answer = browser.call("POST", form.action, values, X_Requested_With="fragment")  # type: ignore[arg-type]
    browser.sign_in("short@example.com")
    later = browser.call("POST", form.action, values, X_Requested_With="fragment")  # type: ignore[arg-type]

    assert answer.status_code == 401
    assert later.status_code == 303
    assert saved(config, moment)["name"] == "Typed"


def test_the_list_beside_the_panel_stays_as_it_was_asked_for(eve: Browser, moment: dict[str, Any]) -> None:
    answer = eve.get(f"/moments/{moment['id']}?search=zzz&sort=name")

    form = form_in(answer.text, "properties")
    assert form.action == f"/moments/{moment['id']}?search=zzz&sort=name"
    assert 'data-close="/moments?search=zzz&amp;sort=name"' in answer.text
    assert send(eve, form).location == f"/moments/{moment['id']}?search=zzz&sort=name&done=moment_unchanged"


def test_a_moment_whose_template_is_gone_keeps_its_settings(config: Client, eve: Browser, tmp_path: Path) -> None:
    made = config.make_moment(config.make_configuration()["id"], type=TYPE)
    use_templates(None)
    try:
        form = panel_of(eve, made)
        answer = send(eve, form, name="Renamed")
        words = words_of(eve.get(f"/moments/{made['id']}"))
    finally:
        use_templates(folder_with(tmp_path))

    assert answer.location.endswith("moment_saved")
    assert f"no template “{TYPE}”" in words
    assert saved(config, made)["settings"] == made["settings"]


def test_nothing_is_found_where_there_is_no_moment(eve: Browser) -> None:
    assert eve.get("/moments/00000000-0000-4000-8000-000000000000").status_code == 404
    assert eve.get("/moments/nonsense").status_code == 404
